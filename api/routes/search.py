"""One search for whoever is meant by a number or a name, among all that the person may see.

In: what somebody typed. Out: schools, labs, people, companies and needs that are called that, companies and needs whose
text has the words too, in groups with true counts. It exists because somebody on the telephone gives a tax id, a name
or 溫教授, and not what kind of record that is; to rank labs by what they can do is `GET /api/labs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field
from sqlalchemy import Executable, case, select
from sqlmodel import Session, col

from api.access.policy import Action, Resource, admits
from api.access.visibility import companies as visible_companies
from api.access.visibility import companies_saying, readable
from api.access.visibility import labs as visible_labs
from api.access.visibility import needs as visible_needs
from api.documents.answers import Answer
from api.requests.capacity import ThreadedRoute
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, requires
from api.routes.needs import says as needs_saying
from indexer.records.mended.retired import in_use
from indexer.records.record_tables import Company, Lab, Need, School
from indexer.vocabulary import Mendable, Tier
from matcher.review.finding import MAX_CHARS, Called, Meant, Naming, Sureness, meant
from matcher.review.intake import NeedIntake, NeedState
from matcher.review.people import Principal

router = APIRouter(prefix="/api", tags=["search"], route_class=ThreadedRoute)


class FoundKind(StrEnum):
    """What a group of the search holds; a person is found at the lab that they lead or work in."""

    SCHOOL = "school"
    LAB = "lab"
    PERSON = "person"
    COMPANY = "company"
    NEED = "need"


class FoundAnswer(Answer):
    """One that is called what was typed."""

    id: str = Field(description="Of the record; of a person the lab's.")
    name: str | None = Field(description="Null for a need whose title is withheld.")
    name_en: str
    said: str = Field(description="What of it was found: one of its names, or of a person theirs.")
    school: str | None = Field(description="Of a lab or a person.")
    company: str | None = Field(description="Of a need.")
    state: NeedState | None = Field(description="Of a need that came in here.")
    tier: Tier | None = Field(description="Of a company.")
    sureness: Literal["number", "name", "part", "text", "slip"] = Field(
        description="How it was found, the surest first; slip: a name that is alike, where nothing has the words."
    )


class FoundGroupAnswer(Answer):
    """All of a kind that were found, the surest first; `total` counts those that are not listed too."""

    kind: FoundKind
    total: int
    items: list[FoundAnswer]


class SearchAnswer(Answer):
    """Groups that hold something, always in the same order."""

    groups: list[FoundGroupAnswer]


@router.get("/search", response_model=SearchAnswer)
def search(
    ask: Annotated[PermittedRequest, Depends(requires(Resource.SEARCH, Action.LIST))],
    q: Annotated[
        str, Query(min_length=1, max_length=MAX_CHARS, description="A tax id, an id, or a name or a part of one.")
    ],
    top: Annotated[int, Query(ge=1, le=100, description="At most so many of each kind.")] = 5,
) -> Response:
    """Find schools, labs, people, companies and needs by number or name: the exact first, then parts, then slips."""

    def work(session: Session, who: Principal) -> Reply:
        groups = [_group(session, who, kind, q, top, ask) for kind in FoundKind]
        # What is called just that leaves no room for what only looks alike.
        exact = any(one["sureness"] != "slip" for group in groups for one in group["items"])
        kept = [one for one in groups if one["items"] and not (exact and one["items"][0]["sureness"] == "slip")]
        return Reply(200, {"groups": kept}, {})

    return ask.read(work)


def _group(
    session: Session, who: Principal, kind: FoundKind, words: str, top: int, ask: PermittedRequest
) -> dict[str, Any]:
    rows = session.connection().execute(_query(who, kind)).all() if _may_list(who, kind) else []
    known = {str(row.id): row for row in rows}
    found = _each_once(meant(words, [one for row in rows for one in _called(kind, row)]))
    if rows and kind in (FoundKind.COMPANY, FoundKind.NEED):
        found = _with_texts(found, _saying(session, who, kind, words), known)
    shown = [_document(kind, one, known[one.id]) for one in found[:top]]
    if kind is FoundKind.NEED:
        for one in shown:
            ask.reads(one["id"], withheld=one["name"] is None)
    return {"kind": kind.value, "total": len(found), "items": shown}


def _each_once(found: Sequence[Meant]) -> list[Meant]:
    """Return each record once, by its surest name."""
    return list({one.id: one for one in reversed(found)}.values())[::-1]


def _saying(session: Session, who: Principal, kind: FoundKind, words: str) -> list[str]:
    """Return the ids of the companies or needs whose text has the words, where the person may read it."""
    if kind is FoundKind.COMPANY:
        query = select(col(Company.id)).where(companies_saying(session, words)).order_by(col(Company.id))
    else:
        query = select(col(Need.id)).where(needs_saying(session, who, words)).order_by(col(Need.id))
    return [str(one) for one in session.connection().execute(query).scalars()]


def _with_texts(found: list[Meant], ids: Sequence[str], known: Mapping[str, Any]) -> list[Meant]:
    """Return those found by name and then those whose text has the words, in whose place no slip is of use."""
    named = {one.id for one in found}
    texts = [Meant(one, known[one].name or one, Sureness.TEXT) for one in ids if one in known and one not in named]
    return [one for one in found if not (texts and one.sureness is Sureness.SLIP)] + texts


def _may_list(who: Principal, kind: FoundKind) -> bool:
    resources = {FoundKind.SCHOOL: Resource.SCHOOL, FoundKind.COMPANY: Resource.COMPANY, FoundKind.NEED: Resource.NEED}
    return admits(who, resources.get(kind, Resource.LAB), Action.LIST)


def _query(who: Principal, kind: FoundKind) -> Executable:
    if kind is FoundKind.SCHOOL:
        query = select(col(School.id), col(School.name), col(School.name_en))
        return query.where(in_use(Mendable.SCHOOL, col(School.id))).order_by(col(School.id))
    if kind is FoundKind.COMPANY:
        names = (col(Company.id), col(Company.name), col(Company.name_en), col(Company.tax_id))
        companies = select(*names, col(Company.tier))
        return companies.where(visible_companies(who, Action.LIST)).order_by(col(Company.id))
    if kind is FoundKind.NEED:
        title = case((readable(who), col(Need.title)), else_=None).label("name")
        needs = select(col(Need.id), title, col(Need.company), col(NeedIntake.state))
        needs = needs.join(NeedIntake, col(NeedIntake.need_id) == col(Need.id), isouter=True)
        return needs.where(visible_needs(who, Action.LIST)).order_by(col(Need.id))
    labs = select(col(Lab.id), col(Lab.name), col(Lab.name_en), col(Lab.pi), col(Lab.members), col(Lab.school))
    return labs.where(visible_labs(who, Action.LIST)).order_by(col(Lab.id))


def _called(kind: FoundKind, row: Any) -> list[Called]:
    if kind is FoundKind.PERSON:
        return [Called(row.id, (name,), naming=Naming.PERSON) for name in (row.pi, *row.members) if name]
    if kind is FoundKind.NEED:
        return [Called(row.id, (row.name or "",))]
    numbers = (row.tax_id,) if kind is FoundKind.COMPANY and row.tax_id else ()
    naming = Naming.SCHOOL if kind is FoundKind.SCHOOL else Naming.PLAIN
    return [Called(row.id, (row.name, row.name_en or ""), numbers, naming)]


def _document(kind: FoundKind, one: Meant, row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "name_en": getattr(row, "name_en", None) or "",
        "said": one.said,
        "school": row.school if kind in (FoundKind.LAB, FoundKind.PERSON) else None,
        "company": row.company if kind is FoundKind.NEED else None,
        "state": row.state if kind is FoundKind.NEED else None,
        "tier": row.tier if kind is FoundKind.COMPANY else None,
        "sureness": one.sureness.name.lower(),
    }
