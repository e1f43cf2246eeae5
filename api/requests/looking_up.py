"""Works looked up by their DOI while somebody waits: where the office switched it on, one at a time, briefly.

In: a DOI. Out: the work as Crossref or DataCite has it, None if neither knows it. It exists because a title that is
typed is typed wrong. What is asked for by people who wait has less patience than what a command fetches, and the same
manners: one request a second, by name, and what was asked within a week not again.
"""

from __future__ import annotations

import threading
from typing import Any

from api.requests.problems import ProblemError
from indexer.settings import Settings
from indexer.sources.fetching import BETWEEN_S, FetchError, Fetching, UnknownRecordError
from indexer.wording import T_

FOLDER = "fetched"
WITHIN_S, WAITS_S = 6.0, 10.0
"""How long a register may take for an answer, and how long one person waits for another's turn."""
_ASKED = ("crossref", "datacite")
_OF_A_WORK = ("kind", "title", "abstract", "year", "doi")


class LookUps:
    """The look-ups of one server process."""

    def __init__(self, settings: Settings, *, between_s: float = BETWEEN_S) -> None:
        self._settings, self._between_s = settings, between_s
        self._turn = threading.Lock()
        self._visit: Fetching | None = None

    def work(self, doi: str) -> dict[str, Any] | None:
        """Return a work in the exchange format, as far as it says what a piece of evidence says.

        Raises:
            ProblemError: 503, no register answers, or others are asking.
        """
        if not self._turn.acquire(timeout=WAITS_S):
            raise _not_now()
        try:
            return next((found for source in _ASKED if (found := self._asked(source, doi)) is not None), None)
        finally:
            self._turn.release()

    def _asked(self, source: str, doi: str) -> dict[str, Any] | None:
        # What reads registers takes a while to load; who looks nothing up does without.
        from indexer.sources.own_works import works_in

        if self._visit is None:
            self._visit = Fetching(
                self._settings.mail_from,
                self._settings.home / FOLDER,
                self._settings.registers_url,
                between_s=self._between_s,
                tries=1,
                timeout_s=WITHIN_S,
            )
        try:
            (file,) = self._visit.fetch(source, [doi])
        except UnknownRecordError:
            return None
        except FetchError as error:
            raise _not_now() from error
        found = works_in(file.read_bytes(), source, "")
        works = [one.evidence for one in found.works if one.evidence.get("title") and one.evidence.get("doi") == doi]
        if not works:
            return None
        return {"id": f"doi:{doi}"} | {name: works[0][name] for name in _OF_A_WORK if works[0].get(name) is not None}


def _not_now() -> ProblemError:
    return ProblemError(
        503, "look-up", T_("the DOI can't be looked up just now: try again later, or type the title as well"), "title"
    )
