"""A look for viruses at what people send: a command of the office's choice, asked before anything is stored.

In: the bytes of a file. Out: nothing, or a refusal: the scanner says that the file is infected, or could not be asked.
It exists because files go from one house to another through this server, and nobody opens them here. A file that could
not be looked at is not stored: whoever set a scanner up wants no other file in the house.
"""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass

import structlog

from api.requests.problems import ProblemError
from indexer.settings import Settings
from indexer.wording import T_

_CLEAN, _INFECTED = 0, 1


@dataclass(frozen=True)
class Scanner:
    """What is asked of each file; without a command nothing is."""

    command: tuple[str, ...]
    within_s: float

    @classmethod
    def of(cls, settings: Settings) -> Scanner:
        """Return the scanner that the settings name."""
        return cls(tuple(shlex.split(settings.scanner)), settings.scanner_s)

    def check(self, content: bytes) -> None:
        """Let a file pass that is clean.

        Raises:
            ProblemError: 422, the scanner says that it is infected; 503, the scanner could not be asked.
        """
        if not self.command:
            return
        code = self._asked(content)
        if code == _INFECTED:
            # What was found is not repeated: it is what whoever sent it wants to learn.
            structlog.get_logger("gloria").warning("an infected file was refused")
            raise ProblemError(422, "infected", T_("the virus scanner refuses this file: nothing was stored"), "file")
        if code != _CLEAN:
            raise ProblemError(
                503, "scanner", T_("files can't be looked through for viruses just now: nothing was stored"), "file"
            )

    def _asked(self, content: bytes) -> int | None:
        """Return how the command ended; None if it did not run, or not in time."""
        try:
            done = subprocess.run(  # noqa: S603 (the command is the operator's own, and no part of it comes from outside)
                self.command, input=content, capture_output=True, timeout=self.within_s, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            structlog.get_logger("gloria").error("the virus scanner can't be asked", error=type(error).__name__)
            return None
        if done.returncode not in (_CLEAN, _INFECTED):
            structlog.get_logger("gloria").error("the virus scanner can't be asked", code=done.returncode)
        return done.returncode
