"""Any sentence-transformers CrossEncoder: pairs of texts in, one number each out, higher where the second answers more.

In: a model's folder or name, and pairs of a question and a text. Out: the model's raw numbers (logits), before any
curve, so that whoever uses them chooses the curve. It exists since reading two texts together tells more than
comparing two vectors, and costs a thousand times as much. Texts longer than the model takes are cut off, unlike
those that are encoded. torch is imported when the first pair is scored, not before.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from indexer.arrays import DoubleArray
from indexer.encoders.encoding import EncoderError
from indexer.folding import for_encoders
from indexer.wording import T_

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


class PairScorer:
    """A CrossEncoder on the CPU, loaded at first use. Any number of threads may use it, one after the other."""

    def __init__(self, source: str, threads: int = 0) -> None:
        """Name the model, by name or folder, and the threads to use, 0 for one per core; nothing is loaded."""
        self.source = source
        self.name = Path(source).name
        self._threads = threads
        self._alone = threading.RLock()

    @cached_property
    def _model(self) -> CrossEncoder:
        # Asked before torch, which takes seconds to be imported.
        if self._is_a_place and not Path(self.source).is_dir():
            raise EncoderError(self._refusal(""))
        import torch
        from sentence_transformers import CrossEncoder
        from transformers.utils import logging

        logging.disable_progress_bar()
        torch.set_num_threads(self._threads or os.cpu_count() or 1)
        try:
            # Never from the network, as `TransformerEncoder.model`.
            model: CrossEncoder = CrossEncoder(self.source, device="cpu", local_files_only=True)
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise EncoderError(self._refusal(reason)) from error
        config = model.config
        kinds = [str(kind) for kind in getattr(config, "architectures", None) or ()]
        # Of any other model the library makes a CrossEncoder whose last layer is random.
        if (
            not any(kind.endswith("ForSequenceClassification") for kind in kinds)
            or getattr(config, "num_labels", 0) != 1
        ):
            kind = ", ".join(kinds) or "?"
            raise EncoderError(self._refusal(T_("it is a %(kind)s with no single score of a pair", kind=kind)))
        model.eval()
        return model

    @property
    def _is_a_place(self) -> bool:
        return Path(self.source).is_absolute() or self.source.startswith(".")

    def _refusal(self, reason: str) -> str:
        if Path(self.source).is_dir():
            return T_(
                "GLORIA_RERANKER: %(name)s is not a usable CrossEncoder (%(reason)s)", name=self.name, reason=reason
            )
        if self._is_a_place:
            return T_("GLORIA_RERANKER: there is no folder %(name)s", name=self.source)
        return T_(
            "GLORIA_RERANKER: %(name)s is not on this machine; give a folder, or the name of a model fetched before "
            "with: hf download %(name)s",
            name=self.source,
        )

    def load(self) -> None:
        """Load the model, if it is not loaded yet.

        Raises:
            EncoderError: it is not on this machine, or does not give one number for a pair.
        """
        with self._alone:
            _ = self._model

    def logits(self, pairs: Sequence[tuple[str, str]]) -> DoubleArray:
        """Return the model's number for each pair, shape (n pairs,).

        Raises:
            EncoderError: see `load`; or it gave something that is no number.
        """
        import torch

        with self._alone:
            found = self._model.predict(
                [(for_encoders(first), for_encoders(second)) for first, second in pairs],
                batch_size=max(len(pairs), 1),
                activation_fn=torch.nn.Identity(),
                show_progress_bar=False,
            )
        numbers = np.asarray(found, dtype=np.float64).reshape(-1)
        if not np.isfinite(numbers).all():
            raise EncoderError(self._refusal(T_("it gives something that is no number")))
        return numbers
