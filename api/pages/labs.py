"""Labs: found by words and filters, and one lab as an expert sees it.

In: words, filters, which page, a lab. Out: a list with counts to narrow it by, from the matcher or, where it can't
serve, by names alone; a lab's profile, its evidence and the needs it suits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlalchemy import ColumnElement
from sqlmodel import Session, col, func, or_, select

from api.access.policy import Action, Resource, admits
from api.access.visibility import cases as visible_cases
from api.access.visibility import labs as visible
from api.documents.cases import case_documents
from api.pages.desk.views import views_shown
from api.pages.shell.facets import FacetGroup, choices_of, query_of, schools_of
from api.pages.shell.record_names import Names, all_of, language, names, titles
from api.pages.shell.taiwan import Place, map_of, place_of
from api.pages.shell.templating import marked
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_, Lang, Wording, lang_of
from api.requests.capacity import MATCHING, ThreadedRoute, takes
from api.requests.problems import ProblemError, Refusal, refusal_of
from api.requests.query_parameters import ChosenFilters
from api.routes.labs import match_lab, match_lab_with_companies, read_cooperation, read_lab, search_labs, similar_labs
from api.trail.request_trail import NeedReader
from indexer.encoders.encoding import EncoderError
from indexer.encoders.query_vectors import EncodingBusyError
from indexer.index.generations import SnapshotError
from indexer.instants import day_in_taipei, now
from indexer.records.exchange import LabIn
from indexer.records.field_notes import declared
from indexer.records.mended.merged import same_ids
from indexer.records.record_tables import Company, Lab, School, other_of
from indexer.vocabulary import EvidenceKind, Mendable
from indexer.wording import T_
from matcher.ranking.lab_table import STATED, Filters
from matcher.ranking.ranker import Band
from matcher.review.cases import Case
from matcher.review.conversation.signing import loads_of_labs
from matcher.review.desk.saved_views import ViewedList
from matcher.review.people import Principal
from matcher.review.roles import Role

_NO_MATCHER = (SnapshotError, EncoderError, EncodingBusyError)
NO_FILTERS = Filters()


@dataclass(frozen=True)
class FoundLabs:
    """A page of labs; `only_names` says why the words were looked for in names alone. `facets` is None then."""

    items: list[dict[str, Any]]
    total: int
    fitting: int
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
        fitting = found["fitting"]
    except _NO_MATCHER as error:
        why, facets = refusal_of(error), None
        items, total = visit.look(lambda session, who: _by_name(session, who, words, top, offset))
        fitting = total
    called = visit.look(lambda session, _: names(session, School, all_of(items, "school")))
    return FoundLabs(items, total, fitting, facets, called, why)


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


router = APIRouter(prefix="/labs", include_in_schema=False, route_class=ThreadedRoute)

PER_PAGE = 20
NEEDS_SHOWN = 10
HEARD_AMONG = 20
"""A lab should hear of a need only where it is among so many first labs for it: others stand nearer to it else."""
CASES_SHOWN = 50
_MOST = 100_000
_SHOWN_APART = (
    *("id", "name", "name_en", "pi", "school", "fields", "summary", "summary_en"),
    *("offers", "equipment", "members", "orcid", "capacity", "languages", "links"),
)
_FACTS = tuple(one for one in declared(LabIn) if one.name not in _SHOWN_APART)
"""What the page lists of a lab as it is declared; the rest has a place or a form of its own there."""


@router.get("")
@takes(MATCHING)
def show_labs(
    filters: ChosenFilters,
    visit: Annotated[Visit, Depends(visiting(Resource.LAB, Action.LIST))],
    q: Annotated[str, Query(max_length=2_000)] = "",
    offset: Annotated[int, Query(ge=0, le=_MOST)] = 0,
) -> Response:
    """List labs, best first for the words, by name without any."""
    if not visit.look(lambda _, who: who.holds(Role.EXPERT, Role.LEAD, Role.OFFICE)):
        return visit.go("/my-lab")
    words = q.strip()
    found = found_labs(visit, words, top=PER_PAGE, offset=offset, filters=filters)
    chosen = {name: list(getattr(filters, name)) for name in STATED}
    groups: list[FacetGroup] = []
    if found.facets is not None:
        ids = schools_of(found.facets, chosen)
        groups = choices_of(found.facets, chosen, visit.look(lambda session, _: names(session, School, ids)))
    context: dict[str, Any] = {
        "q": words,
        "found": found,
        "groups": groups,
        "narrowed": any(chosen.values()),
        "filter_query": query_of(filters),
        "offset": offset,
        "per_page": PER_PAGE,
        "most": _MOST,
        "views": views_shown(visit, ViewedList.LABS, visit.request.url.query),
    }
    return visit.show("labs/list.html", marked=marked, **context)


@router.get("/{lab_id}")
def show_lab(lab_id: str, visit: Annotated[Visit, Depends(visiting(Resource.LAB, Action.READ))]) -> Response:
    """Show a lab's profile and, to experts, what it could be asked for."""
    lab = visit.document(read_lab, lab_id=lab_id)
    who = visit.who()
    school = visit.look(lambda session, _: session.get(School, lab["school"]) if lab["school"] else None)
    place = place_of(school.city) if school is not None else None
    context: dict[str, Any] = {
        "lab": lab,
        "map": None if place is None else map_of(place, _on_the_map(place, lang_of(visit.request))),
        "works": [(kind.value, _of_kind(lab["evidence"], kind)) for kind in EvidenceKind],
        "facts": _FACTS,
        "other": visit.look(lambda session, _: other_of(session, Lab, lab_id)),
        "languages": [language(code) for code in lab["languages"]],
        "school": None if school is None else school.model_dump(),
        "load": visit.look(lambda session, _: loads_of_labs(session, [lab_id], day_in_taipei(now()))[lab_id]),
        "has_stake": who.has_stake(company_id=None, lab_id=lab_id),
        "past": visit.document(read_cooperation, lab_id=lab_id),
        "cases": visit.look(lambda session, who: _cases(session, who, lab_id, to=visit)),
    }
    return visit.show("labs/lab.html", marked=marked, **context)


@router.get("/{lab_id}/needs")
@takes(MATCHING)
def show_needs_for_lab(
    lab_id: str, visit: Annotated[Visit, Depends(visiting(Resource.MATCH, Action.READ))]
) -> Response:
    """Show which open needs a lab should hear of: as a part of its page, or as one of its own."""
    found = visit.attempt(lambda: visit.document(match_lab, lab_id=lab_id, top=NEEDS_SHOWN))
    refused = found if isinstance(found, Refusal) else None
    context: dict[str, Any] = {
        "matches": None if isinstance(found, Refusal) else found,
        "fitting": [] if isinstance(found, Refusal) else [one for one in found["needs"] if should_hear_of(one)],
        "among": HEARD_AMONG,
        "refused": refused,
        "has_stake": visit.who().has_stake(company_id=None, lab_id=lab_id),
    }
    heading = N_("Needs this lab should hear of")
    return visit.show_part("labs/needs.html", heading, f"/labs/{lab_id}", marked=marked, **context)


@router.get("/{lab_id}/companies")
@takes(MATCHING)
def show_companies_for_lab(
    lab_id: str, visit: Annotated[Visit, Depends(visiting(Resource.MATCH, Action.READ))]
) -> Response:
    """Show which companies should hear of a lab: as a part of its page, or as one of its own."""
    found = visit.attempt(lambda: visit.document(match_lab_with_companies, lab_id=lab_id, top=NEEDS_SHOWN))
    refused = found if isinstance(found, Refusal) else None
    heading = N_("Companies that should hear of this lab")
    return visit.show_part("labs/companies.html", heading, f"/labs/{lab_id}", refused=refused, found=found)


def _on_the_map(place: Place, lang: Lang) -> str:
    return Wording(lang).text(T_("Map of Taiwan: %(place)s", place=place.name))


def _of_kind(evidence: list[dict[str, Any]], kind: EvidenceKind) -> list[dict[str, Any]]:
    return [one for one in evidence if one["kind"] == kind.value]


@router.get("/{lab_id}/similar")
@takes(MATCHING)
def show_similar_labs(lab_id: str, visit: Annotated[Visit, Depends(visiting(Resource.LAB, Action.READ))]) -> Response:
    """Show which labs do about the same: as a part of the lab's page, or as one of its own."""
    found = visit.attempt(lambda: visit.document(similar_labs, lab_id=lab_id)["items"])
    refused = found if isinstance(found, Refusal) else None
    if refused is not None and refused.status == 404:
        raise ProblemError(404, refused.name, refused.detail)
    items: list[dict[str, Any]] = [] if isinstance(found, Refusal) else found
    schools = visit.look(lambda session, _: names(session, School, all_of(items, "school")))
    shown = FoundLabs(items, len(items), len(items), None, schools, None)
    heading = N_("Labs that do about the same")
    return visit.show_part("labs/similar.html", heading, f"/labs/{lab_id}", refused=refused, found=shown, marked=marked)


def should_hear_of(need: dict[str, Any]) -> bool:
    """Whether a lab should hear of a need: what it shows speaks to it, not weakly, and hardly any lab fits better."""
    speaks = any(asked["covered"] != "no" for asked in need["explanation"]["asks"])
    return bool(speaks and need["band"] != Band.WEAK and need["rank_of_lab"] <= HEARD_AMONG)


def _cases(session: Session, who: Principal, lab_id: str, *, to: NeedReader) -> dict[str, Any] | None:
    """Return the cases with a lab that the person may see, the newest first; None for who sees no cases at all."""
    if not admits(who, Resource.CASE, Action.LIST):
        return None
    ours = same_ids(session, Mendable.LAB, lab_id)
    query = select(Case).where(visible_cases(who, Action.LIST), col(Case.lab_id).in_(ours))
    rows = session.exec(query.order_by(col(Case.id).desc()).limit(CASES_SHOWN)).all()
    items = case_documents(session, who, rows)
    return {
        "items": items,
        "needs": titles(session, who, all_of(items, "need_id"), to=to),
        "companies": names(session, Company, all_of(items, "company_id")),
    }
