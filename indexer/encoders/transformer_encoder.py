"""Any sentence-transformers model: texts in, unit vectors out. The only place that knows torch.

In: a model's folder or name, and texts with their role. Out: float32 vectors
of length 1, in the order of the texts. It exists because encoding is the
night's main cost by three orders of magnitude: texts are ordered by token
count and encoded in batches of about a thousand tokens, which stay in the
CPU's cache and waste almost nothing on padding; texts longer than the model
are cut into windows whose vectors are averaged, never truncated. torch is
imported when the first text is encoded, not before.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.arrays import FloatArray
from indexer.encoders.encoding import (
    EncoderError,
    Progress,
    Role,
    batches_by_tokens,
    file_hash,
    joined_windows,
    windows,
)
from indexer.folding import for_encoders
from indexer.settings import Settings
from indexer.wording import T_

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_PROMPT_NAMES = {"query": ("query",), "passage": ("passage", "document")}
"""What models call the prompts of our roles; E5 says passage, others document."""


def has_amx() -> bool:
    """Whether the CPU multiplies bfloat16 matrices in tiles; without them bfloat16 is slower than float32.

    Read from the kernel rather than from torch: naming an encoder must not cost the import of torch.
    """
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


@dataclass
class TransformerEncoder:
    """A sentence-transformers model on the CPU.

    `languages` None means all. `package` is the distribution whose release names
    the weights, since hashing half a gigabyte at every start would be slow.
    `known_dims` spares loading the model to learn the length of its vectors;
    `weights_file` is what the package carries; `check` raises if the weights on the disk are not those any more.
    """

    name: str
    source: str
    settings: Settings
    languages: frozenset[str] | None = None
    package: str = ""
    known_dims: int = 0
    weights_file: Path | None = None
    check: Callable[[], None] | None = None

    @cached_property
    def model(self) -> SentenceTransformer:
        """The model, loaded at first use.

        Raises:
            EncoderError: it is not on this machine, is not a sentence-transformers model, or was changed on the disk.
        """
        if self.check is not None:
            try:
                self.check()
            except Exception as error:
                raise EncoderError(str(error)) from error
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()
        torch.set_num_threads(self.settings.threads or os.cpu_count() or 1)
        try:
            # Never from the network: an office without one would wait minutes to learn of a typing error.
            model = SentenceTransformer(self.source, device="cpu", local_files_only=True)
        except Exception as error:
            raise EncoderError(self._load_message(error)) from error
        if self.precision == "bfloat16":
            model.to(torch.bfloat16)
        return model.eval()

    def _load_message(self, error: Exception) -> str:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if self.package:
            remedy = T_("delete that folder or reinstall %(package)s", package=self.package)
            return T_(
                "encoder %(name)s: %(source)s can't be loaded (%(reason)s); %(remedy)s",
                name=self.name,
                source=self.source,
                reason=reason,
                remedy=remedy,
            )
        if Path(self.source).is_dir():
            return T_(
                "encoder %(name)s: this folder is not a usable sentence-transformers model (%(reason)s)",
                name=self.name,
                reason=reason,
            )
        if Path(self.source).is_absolute() or self.source.startswith("."):
            return T_("encoder %(name)s: there is no such folder", name=self.name)
        return T_(
            "encoder %(name)s is not on this machine; GLORIA_ENCODERS takes bundled, bundled-minilm, "
            "bundled-use, a model's folder, or the name of a model fetched before with: hf download %(name)s",
            name=self.name,
        )

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

    @cached_property
    def weights(self) -> str:
        """See `Encoder.weights`."""
        if self.weights_file is not None:
            return file_hash(self.weights_file)
        return _folder_identity(self.source) if Path(self.source).is_dir() else ""

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return self.known_dims or int(self.model.get_embedding_dimension() or 0)

    def prompt(self, role: Role) -> str:
        """Return what the model wants to stand before a text of a role, often nothing.

        The published E5 models name no prompts though they were trained with them (Wang et al. 2024).
        """
        prompts = self.model.prompts or {}
        found = next(filter(None, map(prompts.get, _PROMPT_NAMES[role])), "")
        return found or (f"{role}: " if "e5-" in Path(self.source).name.lower() else "")

    def encode(self, texts: Sequence[str], *, role: Role, progress: Progress | None = None) -> FloatArray:
        """See `Encoder.encode`."""
        if not texts:
            return np.zeros((0, self.dims), dtype=np.float32)
        pieces, owners = self.token_windows([for_encoders(text) for text in texts], role)
        vectors = self._encode_pieces(pieces, owners, progress)
        return joined_windows(vectors, owners, [len(piece) for piece in pieces])

    def token_windows(self, texts: Sequence[str], role: Role) -> tuple[list[list[int]], list[int]]:
        """Return the windows of all texts as token ids, the prompt before each, and the text each belongs to.

        A text that fits the model is one window with exactly the tokens that `SentenceTransformer.encode` sees.
        """
        tokenizer, prompt = self.model.tokenizer, self.prompt(role)
        # Without its trailing blank the prompt is a prefix of the tokens: the blank joins the next word.
        head = len(_token_ids(tokenizer, [prompt.rstrip()])[0]) if prompt else 0
        limit = int(self.model.max_seq_length or 512) - sum(map(len, _special_tokens(tokenizer))) - head
        pieces: list[list[int]] = []
        owners: list[int] = []
        for i, ids in enumerate(_token_ids(tokenizer, [prompt + text for text in texts])):
            for piece in windows(ids[head:], limit):
                pieces.append([*ids[:head], *piece])
                owners.append(i)
        return pieces, owners

    def _encode_pieces(self, pieces: list[list[int]], owners: list[int], progress: Progress | None) -> FloatArray:
        import torch

        before, after = _special_tokens(self.model.tokenizer)
        padding = int(self.model.tokenizer.pad_token_id)
        out = np.zeros((len(pieces), self.dims), dtype=np.float32)
        unfinished = np.bincount(owners)
        for batch in batches_by_tokens([len(piece) for piece in pieces]):
            rows = [[*before, *pieces[i], *after] for i in batch]
            width = max(map(len, rows))
            ids = torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows])
            mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
            with torch.inference_mode():
                features = self.model({"input_ids": ids, "attention_mask": mask})
            out[batch] = features["sentence_embedding"].float().numpy()
            if progress is not None:
                touched = [owners[i] for i in batch]
                np.subtract.at(unfinished, touched, 1)
                progress(int((unfinished[np.unique(touched)] == 0).sum()))
        return out


def _token_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    encoded = tokenizer.backend_tokenizer
    encoded.no_truncation()
    encoded.no_padding()
    return [item.ids for item in encoded.encode_batch(list(texts), add_special_tokens=False)]


def _special_tokens(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the ids that the model wants before and after every text."""
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
        if path.is_file() and path.suffix in (".safetensors", ".json", ".bin", ".txt", ".model"):
            digest.update(path.relative_to(folder).as_posix().encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
