"""Encoding beside requests: an encoder that lets those go first who wait for an answer.

In: an encoder that a server's requests use, the turn to use it, and whether somebody waits. Out: the same vectors, a
few texts at a time. It exists because a server has each model once: what is encoded in the background must neither
load it again nor run beside a request's text, which would then wait for a whole import.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from indexer.encoder import Encoder
from indexer.encoding import EncoderError, FloatArray, Progress, Role
from indexer.wording import T_

AT_ONCE = 8
"""Texts encoded between two looks at who waits."""
LONGEST_PAUSE_S = 0.5
"""How long, before each few texts, those who wait go first: under constant load the background gets on all the same."""
_LOOK_EVERY_S = 0.01


class BackgroundEncoder:
    """An `Encoder` for threads that nobody waits for."""

    def __init__(
        self, encoder: Encoder, turn: threading.Lock, *, busy: Callable[[], bool], closed: Callable[[], bool]
    ) -> None:
        """Share an encoder.

        Args:
            encoder: the shared one.
            turn: held by whoever uses it.
            busy: whether somebody waits for it.
            closed: whether to give up.
        """
        self._encoder = encoder
        self._turn = turn
        self._busy = busy
        self._closed = closed
        self.name = encoder.name
        self.languages = encoder.languages

    @property
    def identity(self) -> str:
        """See `Encoder.identity`."""
        return self._encoder.identity

    @property
    def weights(self) -> str:
        """See `Encoder.weights`."""
        return self._encoder.weights

    @property
    def dims(self) -> int:
        """See `Encoder.dims`."""
        return self._encoder.dims

    def encode(self, texts: Sequence[str], *, role: Role, progress: Progress | None = None) -> FloatArray:
        """See `Encoder.encode`.

        Raises:
            EncoderError: as there, or the server is closing.
        """
        parts = []
        for start in range(0, len(texts), AT_ONCE):
            self._let_others_go_first()
            with self._turn:
                parts.append(self._encoder.encode(texts[start : start + AT_ONCE], role=role, progress=progress))
        return np.concatenate(parts) if parts else self._encoder.encode([], role=role)

    def _let_others_go_first(self) -> None:
        until = time.monotonic() + LONGEST_PAUSE_S
        while self._busy() and not self._closed() and time.monotonic() < until:
            time.sleep(_LOOK_EVERY_S)
        if self._closed():
            raise EncoderError(T_("the server is closing"))
