"""Works that a researcher hands in for the own lab, and whether the lab would be found for what somebody might ask.

In: one work by its DOI or typed, or a file's text in any format that is read; words of the researcher's own. Out: how
many are new, how many were there, what could not be taken and why; how far in front the lab is found and what is
missing. Nothing of any need is read for it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlmodel import Session, select

from api.access.policy import Action, Resource
from api.access.visibility import labs as visible
from api.documents.answers import Answer
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, etag_of, requires
from api.requests.problems import ProblemError, not_found
from indexer.plain_text import clean
from indexer.records.exchange import EvidenceIn, check
from indexer.records.record_tables import Lab
from indexer.records.values import FieldError, doi
from indexer.vocabulary import AskKind, EvidenceKind, Kind
from indexer.wording import T_, Bilingual
from matcher.ranking.explanation import Speaking
from matcher.review.own_lab.findability import Place, findable
from matcher.review.own_lab.researchers import add_works, known_work
from matcher.review.people import Principal

router = APIRouter(prefix="/api", tags=["labs"], route_class=ThreadedRoute)
_MOST_TOLD = 20
_MOST_CHARS = 3_000_000


def _tidy(value: Any) -> Any:
    return clean(value, max_chars=50_000, multiline=True) if isinstance(value, str) else value


Tidy = Annotated[str, BeforeValidator(_tidy)]


class WorkBody(BaseModel):
    """One work; of one that another lab has already, the DOI is enough."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    doi: Annotated[str, Field(max_length=300)] = ""
    title: Tidy = ""
    kind: EvidenceKind = EvidenceKind.PAPER
    year: Annotated[str, Field(max_length=20, description="2024, or 民國113年.")] = ""
    abstract: Tidy = ""


class WorksBody(BaseModel):
    """Works: one, or all that a file holds. Formats: BibTeX, RIS, ORCID, Crossref, DataCite, OpenAlex, CSV."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    work: WorkBody | None = None
    content: Annotated[str, Field(max_length=_MOST_CHARS)] | None = None
    name: Annotated[str, Field(max_length=200, description="What the file is called.")] = ""


class RowAnswer(Answer):
    """What could not be taken, and what would be right."""

    row: int
    field: str
    wrong: Bilingual
    right: Bilingual
    is_warning: bool


class AddedWorksAnswer(Answer):
    """What came of works that were handed in."""

    added: int
    known: int = Field(description="Those that the lab has already, by id, DOI, or title and year.")
    problems: list[RowAnswer]
    more_problems: int


class SpokenAnswer(Answer):
    """What of the lab speaks, as an expert would see it."""

    kind: str
    year: int | None
    language: str
    title: str
    excerpt: str
    words: list[str]


class FindableAnswer(Answer):
    """Whether the lab would be found for some words."""

    place: Place
    speaking: SpokenAnswer | None
    missing: list[Bilingual]
    is_current: bool = Field(description="False while the index takes in what changed in the lab.")


@router.post("/labs/{lab_id}/works", status_code=201, response_model=AddedWorksAnswer)
def add_lab_works(
    lab_id: str, body: WorksBody, ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB, Action.EDIT))]
) -> Response:
    """Add works to your own lab; those that it has already are left as they are. The index takes them in at once."""
    with ask.reading() as session:
        _find(session, ask.admitted(session), lab_id)
    ask.let_go()
    # Reading a file takes longer than storing what it says: no writer waits for it.
    works, problems = ([], []) if body.content is None else _read(body.content, body.name, lab_id)
    elsewhere = looked_up(ask, body.work)

    def work(session: Session, who: Principal) -> Reply:
        _find(session, who, lab_id, lock=True)
        if (body.work is None) == (body.content is None):
            raise ProblemError(422, "invalid", T_("give either one work or a file's content"), "content")
        given = works if body.work is None else [checked_work(session, body.work, elsewhere)]
        done = add_works(session, lab_id=lab_id, works=given, by=who.id, now=ask.at)
        document = {
            "added": done.added,
            "known": done.known,
            "problems": problems[:_MOST_TOLD],
            "more_problems": max(0, len(problems) - _MOST_TOLD),
        }
        return Reply(201, document, {"ETag": etag_of(done.profile)})

    return ask.write(work, body)


def _find(session: Session, who: Principal, lab_id: str, *, lock: bool = False) -> None:
    query = select(Lab.id).where(Lab.id == lab_id, visible(who, Action.EDIT))
    if session.exec(query.with_for_update() if lock else query).first() is None:
        raise not_found("lab")


def _read(content: str, name: str, lab_id: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the works that a file holds, and what of it could not be taken."""
    from indexer.sources.own_works import works_in

    found = works_in(content.encode("utf-8", "replace"), name or "works", lab_id)
    problems = [
        {
            "row": one.row,
            "field": one.field,
            "wrong": _both(one.wrong),
            "right": _both(one.right),
            "is_warning": one.severity == "warning",
        }
        for one in found.problems
    ]
    return [dict(one.evidence) for one in found.works], problems


def _both(text: str) -> dict[str, str]:
    zh, en = getattr(text, "both", (text, text))
    return {"zh": zh, "en": en}


def looked_up(ask: PermittedRequest, body: WorkBody | None) -> dict[str, Any] | None:
    """Return a work of which only the DOI was typed, as a register has it; None where nothing is to be looked up.

    Raises:
        ProblemError: 422, no register has it, or none answers now.
    """
    if body is None or body.title.strip() or not body.doi.strip() or not ask.request.app.state.settings.look_up_dois:
        return None
    with ask.reading() as session:
        number = _doi_of(body)
        if known_work(session, number) is not None:
            return None
    ask.let_go()
    found: dict[str, Any] | None = ask.request.app.state.look_ups.work(number)
    if found is None:
        detail = T_("neither Crossref nor DataCite has this DOI: look whether it is right, or type the title as well")
        raise ProblemError(422, "invalid", detail, "title")
    return found


def _doi_of(body: WorkBody) -> str:
    try:
        return str(doi(body.doi))
    except FieldError as error:
        raise ProblemError(422, "invalid", error.right, "doi") from error


def checked_work(session: Session, body: WorkBody, elsewhere: dict[str, Any] | None) -> dict[str, Any]:
    """Return one work as it was typed, or by its DOI as another lab or a register has it."""
    said = {name: value for name, value in body.model_dump(mode="json").items() if value}
    if body.doi.strip():
        said["doi"] = _doi_of(body)
        known = known_work(session, str(said["doi"])) or elsewhere
        if not body.title.strip():
            if known is None:
                detail = T_("no lab here has this DOI yet, and nothing is looked up elsewhere: type the title as well")
                raise ProblemError(422, "invalid", detail, "title")
            return known
        said["id"] = f"doi:{said['doi']}"
    found = check(Kind.EVIDENCE, {"id": "new", **said})
    if found.faults or not isinstance(found.record, EvidenceIn):
        raise ProblemError(422, "invalid", found.faults[0].right, found.faults[0].field or "title")
    checked = found.record.model_dump(mode="json")
    return checked if "id" in said else {name: value for name, value in checked.items() if name != "id"}


@router.get("/labs/{lab_id}/finding", response_model=FindableAnswer)
@takes(MATCHING)
def try_finding(
    lab_id: str,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.DEMAND, Action.READ))],
    q: Annotated[str, Query(min_length=2, max_length=1_000, description="What somebody might ask.")],
    kind: Annotated[AskKind | Literal[""], Query(description="The cooperation that is asked for.")] = "",
) -> Response:
    """Find out whether your lab would be found for some words of yours, and what is missing if not."""
    with ask.reading() as session:
        _find(session, ask.admitted(session), lab_id)
    matcher = ask.request.app.state.live.current()
    found = findable(matcher, lab_id, q, AskKind(kind) if kind else None)
    document = {
        "place": found.place.value,
        "speaking": None if found.speaking is None else _spoken(found.speaking),
        "missing": [_both(text) for text in found.missing],
        "is_current": found.is_current,
    }
    return ask.answered(Reply(200, document, {}))


def _spoken(speaking: Speaking) -> dict[str, Any]:
    # Without its score: how it compares with others is not told.
    return {name: getattr(speaking, name) for name in SpokenAnswer.model_fields}
