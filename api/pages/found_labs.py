"""Labs found by words, by the matcher or, where it can't serve, by their names.

In: words, filters, which page. Out: what the templates of lists of labs show.
It exists because an expert must find a lab whose name they know also on a
morning without an index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, func, or_, select

from api.pages.record_names import Names, all_of, names
from api.pages.visiting import Visit
from api.policy import Action
from api.problems import Refusal, refusal_of
from api.routes.labs import search_labs
from api.visibility import labs as visible
from indexer.batching import EncodingBusyError
from indexer.encoder import EncoderError
from indexer.records import Lab, School
from indexer.snapshot import SnapshotError
from matcher.facets import Filters
from matcher.people import Principal

_NO_MATCHER = (SnapshotError, EncoderError, EncodingBusyError)
NO_FILTERS = Filters()


@dataclass(frozen=True)
class FoundLabs:
    """A page of labs; `only_names` says why the words were looked for in names alone. `facets` is None then."""

    items: list[dict[str, Any]]
    total: int
    facets: dict[str, dict[str, int]] | None
    schools: Names
    only_names: Refusal | None


def found_labs(visit: Visit, words: str, *, top: int, offset: int = 0, filters: Filters = NO_FILTERS) -> FoundLabs:
    """Return a page of the labs for some words; for none, all by name.

    Raises:
        Exception: the API refuses the words themselves.
    """
    why: Refusal | None = None
    try:
        found = visit.document(search_labs, filters=filters, q=words, top=top, offset=offset)
        items, total, facets = found["items"], found["total"], found["facets"]
    except _NO_MATCHER as error:
        why, facets = refusal_of(error), None
        items, total = visit.look(lambda session, who: _by_name(session, who, words, top, offset))
    called = visit.look(lambda session, _: names(session, School, all_of(items, "school")))
    return FoundLabs(items, total, facets, called, why)


def _by_name(session: Session, who: Principal, words: str, top: int, offset: int) -> tuple[list[dict[str, Any]], int]:
    texts = (Lab.name, Lab.name_en, Lab.pi, Lab.id)
    called: ColumnElement[bool] = or_(*(col(text).icontains(words, autoescape=True) for text in texts))
    here = (visible(who, Action.LIST), called)
    total = session.exec(select(func.count(col(Lab.id))).where(*here)).one()
    query = select(Lab).where(*here).order_by(col(Lab.name), col(Lab.id)).offset(offset).limit(top)
    nothing = {"score": None, "band": None, "speaking": None, "changed_since_index": False}
    items = [
        {"lab_id": lab.id, "name": lab.name, "name_en": lab.name_en, "school": lab.school, "rank": rank}
        | {"by_name": bool(words)}
        | nothing
        for rank, lab in enumerate(session.exec(query).all(), start=offset + 1)
    ]
    return items, total
