"""The committee's review: the queue of results that wait, one result with everything that decides about it, motions.

In: filters, a person's word on a result or on a motion of somebody else, and what the programme office supplies for
a quarter. Out: the queue, the entry, motions that wait for a second person, quarters with what keeps one open,
schools' totals and what other programmes claim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource, admits
from api.access.visibility import motions as visible_motions
from api.access.visibility import reached_alliances
from api.documents.ledger_bodies import ExternalClaimBody, NoteBody, ReasonBody, SchoolTotalBody, ScoresBody
from api.pages.results.entries import ASPECT_WORDS, LABELS, entry_view
from api.pages.shell.record_names import MentionedNames, alliances_of, mentioned_names
from api.pages.shell.visiting import Visit, visiting, what_to_do
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal
from api.routes.ledger.entries import EntryId, read_entry
from api.routes.ledger.programme import (
    ClaimId,
    close_period,
    end_external_claim,
    list_external_claims,
    list_periods,
    list_probes,
    list_school_totals,
    note_external_claim,
    read_configuration,
    read_heads,
    supply_school_total,
)
from api.routes.ledger.review import (
    WAITING,
    MotionId,
    check_entry,
    drop_motion,
    list_motions,
    list_waiting,
    read_review,
    recognise_entry,
    refuse_entry,
    return_entry,
    reverse_entry,
    score_entry,
    second_motion,
    tell_entry_apart,
)
from indexer.instants import day_in_taipei, now
from indexer.records.mended.retired import in_use
from indexer.records.record_tables import School
from indexer.vocabulary import Mendable
from matcher.ledger.figures.waiting import motions_waiting, totals_missing
from matcher.ledger.rows.kpis import RECOGNISED_KPIS, Kpi
from matcher.ledger.rows.motions import MotionKind
from matcher.ledger.rows.periods import last_day
from matcher.ledger.rows.school_totals import COMPARED
from matcher.ledger.rows.steps import State
from matcher.review.people import Principal

router = APIRouter(prefix="/review", include_in_schema=False, route_class=ThreadedRoute)


@router.get("/motions")
def show_motions(visit: Annotated[Visit, Depends(visiting(Resource.MOTION, Action.LIST))]) -> Response:
    """Show what waits for a second person."""
    return _motions_page(visit)


def _motions_page(visit: Visit, refused: Refusal | None = None, motion_id: int = 0) -> Response:
    ended_too = visit.request.query_params.get("all") == "yes"
    cursor = visit.request.query_params.get("cursor") or None
    page = visit.document(list_motions, waiting=not ended_too, cursor=cursor)
    found = [{"motion": motion, **_about(visit, motion)} for motion in page["items"]]

    def named(session: Session, who: Principal) -> MentionedNames:
        return mentioned_names(session, found)

    context = {
        "found": found,
        "next": page["next"],
        "waiting": visit.look(
            lambda session, who: motions_waiting(session, visible_motions(who, Action.LIST), limit=1)[0]
        ),
        "ended_too": ended_too,
        "labels": LABELS,
        "names": visit.look(named),
        "refused": refused,
        "blamed": motion_id,
        "what_to_do": None if refused is None else what_to_do(refused.name),
        "typed": visit.form.get(f"drop-{motion_id}", "") if refused else "",
        "heads": visit.document(read_heads)["items"],
    }
    return visit.show("review/motions.html", refused.status if refused else 200, **context)


def _about(visit: Visit, motion: dict[str, Any]) -> dict[str, Any]:
    """Return the entry that a motion is on and why this person has no word on it; nothing for a quarter."""
    if motion["kind"] == MotionKind.CONFIGURE:
        now = visit.document(read_configuration, configuration_name=motion["subject"])["document"]
        return {"entry": None, "changes": _changes(now, motion["payload"]["document"])}
    if motion["kind"] not in _ON_ENTRIES:
        return {"entry": None}
    entry = visit.attempt(lambda: visit.document(read_entry, entry_id=motion["subject"]))
    return {"entry": None if isinstance(entry, Refusal) else entry}


_ON_ENTRIES = (MotionKind.RECOGNISE, MotionKind.REVERSE)
_LONGEST_SHOWN = 300


def _changes(now: Mapping[str, Any], then: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return each part in which two documents differ, as it is and as it would be."""
    return [
        (name, _shortened(now.get(name)), _shortened(then.get(name)))
        for name in sorted({*now, *then})
        if now.get(name) != then.get(name)
    ]


@router.post("/motions/{motion_id}/second")
def second(motion_id: MotionId, visit: Annotated[Visit, Depends(visiting(Resource.MOTION, Action.SECOND))]) -> Response:
    """Agree as the second person."""
    done = visit.attempt(lambda: visit.document(second_motion, motion_id=motion_id))
    if isinstance(done, Refusal):
        return _motions_page(visit, replace(done, field=None), motion_id)
    return visit.go(_back(visit, done), N_("Agreed: it is carried out."))


@router.post("/motions/{motion_id}/drop")
def drop(motion_id: MotionId, visit: Annotated[Visit, Depends(visiting(Resource.MOTION, Action.DROP))]) -> Response:
    """Drop a motion, for a reason."""
    name = f"drop-{motion_id}"
    body = {"reason": str(visit.form.get(name, ""))}
    done = visit.attempt(lambda: visit.document(drop_motion, motion_id=motion_id, body=visit.body(ReasonBody, body)))
    if isinstance(done, Refusal):
        return _motions_page(visit, replace(done, field=name if done.field == "reason" else None), motion_id)
    return visit.go(_back(visit, done), N_("Dropped: nothing is carried out."))


def _back(visit: Visit, motion: dict[str, Any]) -> str:
    """Return where the form stood: beside the entry, or in the list."""
    beside = visit.form.get("beside") == "entry" and motion["kind"] in _ON_ENTRIES
    return f"/review/{motion['subject']}" if beside else "/review/motions"


def _shortened(value: Any) -> str:
    return orjson.dumps(value).decode()[:_LONGEST_SHOWN]


_CLAIM_FIELDS = ("programme", "kpi", "claimant", "reference", "party", "amount", "occurred_on")
_TOTAL_FIELDS = ("school_id", "year", "kpi", "amount_ntd", "count", "source")


def _shown(visit: Visit, template: str, refused: Refusal | None, **context: Any) -> Response:
    """Show a page of the programme's side, with what was typed if a form was refused."""

    def named(session: Session, who: Principal) -> dict[str, Any]:
        usable = in_use(Mendable.SCHOOL, col(School.id))
        schools = session.exec(
            select(School.id, School.name, School.name_en).where(usable).order_by(col(School.id))
        ).all()
        return {"names": mentioned_names(session, context), "schools": [tuple(row) for row in schools]}

    typed = {name: value for name, value in visit.form.items() if isinstance(value, str)} if refused else {}
    more = {
        "labels": LABELS,
        "kpis": [kpi.value for kpi in RECOGNISED_KPIS],
        "refused": refused,
        "what_to_do": None if refused is None else what_to_do(refused.name),
        "typed": typed,
        "heads": visit.document(read_heads)["items"],
    }
    return visit.show(template, refused.status if refused else 200, **context, **more, **visit.look(named))


@router.get("/periods")
def show_quarters(visit: Annotated[Visit, Depends(visiting(Resource.PERIOD, Action.LIST))]) -> Response:
    """Show the quarters, newest first."""
    return _quarters(visit)


def _quarters(visit: Visit, refused: Refusal | None = None) -> Response:
    document = visit.document(list_periods)
    quarters = document["items"]
    closed = [one for one in quarters if one["closed"]]
    following = closed[-1]["after"] if closed else quarters[0]["period"]
    over = last_day(following) < day_in_taipei(now())
    return _shown(
        visit,
        "review/periods.html",
        refused,
        quarters=quarters[::-1],
        open_period=document["open"],
        following=following if over else None,
    )


@router.post("/periods/{period}/close")
def close(
    period: Annotated[str, Path(max_length=20)],
    visit: Annotated[Visit, Depends(visiting(Resource.PERIOD, Action.CLOSE))],
) -> Response:
    """Move that a quarter be closed."""
    body = {"reason": str(visit.form.get("reason", ""))}
    done = visit.attempt(lambda: visit.document(close_period, period=period, body=visit.body(ReasonBody, body)))
    if isinstance(done, Refusal):
        return _quarters(visit, done if done.field == "reason" else replace(done, field=None))
    return visit.go("/review/periods", N_("Moved. It takes effect once a second person agrees."))


@router.get("/totals")
def show_totals(visit: Annotated[Visit, Depends(visiting(Resource.SCHOOL_TOTAL, Action.LIST))]) -> Response:
    """Show what schools cooperate in as a whole."""
    return _totals(visit)


def _totals(visit: Visit, refused: Refusal | None = None) -> Response:
    given = visit.request.query_params
    chosen = {"school": given.get("school") or "", "year": given.get("year") or ""}
    year = int(chosen["year"]) if chosen["year"].isascii() and chosen["year"].isdigit() else None
    page = visit.document(
        list_school_totals,
        school=chosen["school"][:200] or None,
        year=year if year and year <= 3_000 else None,
        cursor=given.get("cursor") or None,
    )
    wanted = {name: given.get(name, "") for name in ("school_id", "for_year", "for_kpi")}
    missing: list[dict[str, Any]] = []
    if admits(visit.who(), Resource.SCHOOL_TOTAL, Action.CREATE):
        missing = [asdict(one) for one in visit.look(lambda session, _: totals_missing(session))]
    figures = [kpi.value for kpi in COMPARED]
    more = {"page": page, "chosen": chosen, "wanted": wanted, "missing": missing, "figures": figures}
    return _shown(visit, "review/totals.html", refused, **more)


@router.post("/totals")
def supply(visit: Annotated[Visit, Depends(visiting(Resource.SCHOOL_TOTAL, Action.CREATE))]) -> Response:
    """Supply a school's total of a year."""
    done = visit.attempt(
        lambda: visit.document(supply_school_total, body=visit.body(SchoolTotalBody, visit.values(*_TOTAL_FIELDS)))
    )
    if isinstance(done, Refusal):
        return _totals(visit, done)
    return visit.go("/review/totals", N_("The total is stored. Results of this school and year are seen beside it."))


@router.get("/claims")
def show_claims(visit: Annotated[Visit, Depends(visiting(Resource.EXTERNAL_CLAIM, Action.LIST))]) -> Response:
    """Show what other programmes claim."""
    return _claims(visit)


def _claims(visit: Visit, refused: Refusal | None = None) -> Response:
    given = visit.request.query_params
    ended_too = given.get("all") == "yes"
    page = visit.document(list_external_claims, active=not ended_too, cursor=given.get("cursor") or None)
    entry_id = given.get("entry") or str(visit.form.get("entry", ""))
    entry = visit.document(read_entry, entry_id=entry_id) if entry_id else None
    asked = visit.document(list_probes)["items"]
    return _shown(visit, "review/claims.html", refused, page=page, ended_too=ended_too, entry=entry, probes=asked)


@router.post("/claims")
def note(visit: Annotated[Visit, Depends(visiting(Resource.EXTERNAL_CLAIM, Action.CREATE))]) -> Response:
    """Note a claim of another programme, to a result of ours or to something that one may resemble."""

    def work() -> Any:
        given: dict[str, Any] = visit.values(*_CLAIM_FIELDS)
        entry_id = str(visit.form.get("entry", ""))
        if entry_id:
            given |= _same_as(visit.document(read_entry, entry_id=entry_id))
        return visit.document(note_external_claim, body=visit.body(ExternalClaimBody, given))

    done = visit.attempt(work)
    if isinstance(done, Refusal):
        return _claims(visit, done)
    if done["entries"]:
        return visit.go("/review/claims", N_("Noted. A result here claims the same: it can't be recognised any more."))
    return visit.go("/review/claims", N_("Noted. What resembles it will be held until a person has looked."))


def _same_as(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a claim one to exactly the same result as an entry."""
    details = {name: value for name, value in entry["details"].items() if name != "kpi"}
    return {"kpi": entry["kpi"], "details": details}


@router.post("/claims/{claim_id}/end")
def end(claim_id: ClaimId, visit: Annotated[Visit, Depends(visiting(Resource.EXTERNAL_CLAIM, Action.END))]) -> Response:
    """Note that a claim was withdrawn."""
    visit.document(end_external_claim, claim_id=claim_id)
    return visit.go("/review/claims", N_("The claim is ended."))


AGES_DAYS = (0, 30, 60, 90)
"""The ages that the queue can be filtered by."""
_PAGE = 50


@dataclass(frozen=True)
class QueueFilters:
    """Which part of the queue somebody is in."""

    alliance: str | None = None
    kpi: Kpi | None = None
    state: State | None = None
    older_than_days: int = 0

    @property
    def query(self) -> str:
        """The filters as the end of an address; empty without any."""
        given = {name: value for name, value in asdict(self).items() if value}
        return f"?{urlencode(given)}" if given else ""


def _filters(visit: Visit) -> QueueFilters:
    """Return the filters of an address; what is no filter is left out, as an empty choice of a form is."""
    given = visit.request.query_params
    kpi, state, days = given.get("kpi"), given.get("state"), given.get("older_than_days", "")
    return QueueFilters(
        given.get("alliance") or None,
        Kpi(kpi) if kpi in list(Kpi) else None,
        State(state) if state in list(WAITING) else None,
        int(days) if days.isascii() and days.isdigit() and int(days) in AGES_DAYS else 0,
    )


@router.get("")
def show_queue(visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.RETURN))]) -> Response:
    """Show what waits for this person's committee, or for the office."""
    filters = _filters(visit)
    cursor = visit.request.query_params.get("cursor") or None
    page = visit.document(list_waiting, **vars(filters), limit=_PAGE, cursor=cursor)

    def named(session: Session, who: Principal) -> dict[str, Any]:
        reached = reached_alliances(who, Resource.ENTRY, Action.RETURN)
        return {"names": mentioned_names(session, page["items"]), "alliances": alliances_of(session, reached)}

    context = {
        "page": page,
        "filters": filters,
        "labels": LABELS,
        "kpis": [kpi.value for kpi in RECOGNISED_KPIS],
        "ages": AGES_DAYS,
        "states": [state.value for state in WAITING],
        "after": None if page["next"] is None else urlencode({**_given(filters), "cursor": page["next"]}),
        "heads": visit.document(read_heads)["items"],
    }
    return visit.show("review/queue.html", **context, **visit.look(named))


def _given(filters: QueueFilters) -> dict[str, Any]:
    return {name: value for name, value in asdict(filters).items() if value}


@router.get("/{entry_id}")
def show_review(
    entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.RETURN))]
) -> Response:
    """Show a result to decide on."""
    return _page(visit, entry_id)


def _page(visit: Visit, entry_id: str, refused: Refusal | None = None, form: str = "") -> Response:
    filters = _filters(visit)
    review = visit.document(read_review, entry_id=entry_id, **vars(filters))
    context = {
        **entry_view(visit, entry_id),
        "review": review,
        "given": visit.form if refused else {},
        "unmet": {one["requirement"]: one["detail"] for one in review["unmet"]},
        "blocked": any(one["blocks"] for one in review["unmet"]),
        "filters": filters,
        "refused": refused,
        "form": form,
        "typed": visit.form.get(_TYPED.get(form, ""), "") if refused else "",
        "what_to_do": None if refused is None else what_to_do(refused.name),
    }
    return visit.show("review/entry.html", refused.status if refused else 200, **context)


_TYPED = {
    "check": "check_note",
    "recognise": "recognise_note",
    "return": "missing",
    "refuse": "why",
    "tell_apart": "apart",
    "reverse": "wrong",
}
"""The field of each form: each has a name of its own, since all stand on one page."""


def _said(
    visit: Visit, entry_id: str, form: str, endpoint: Callable[..., Response], said: str, *, goes_on: bool = True
) -> Response:
    """Carry out a word on an entry; show the entry again if it is refused, else go on in the queue."""
    filters = _filters(visit)
    queue = visit.document(read_review, entry_id=entry_id, **vars(filters))["queue"]
    model: type[BaseModel] = NoteBody if form in ("check", "recognise") else ReasonBody
    (name,) = model.model_fields
    typed = str(visit.form.get(_TYPED[form], ""))

    def work() -> Any:
        return visit.document(endpoint, entry_id=entry_id, body=visit.body(model, {name: typed}))

    done = visit.attempt(work)
    if isinstance(done, Refusal):
        mine = _TYPED[form] if done.field == name else None
        return _page(visit, entry_id, replace(done, field=mine), form)
    if done["motion"] is not None:
        said = N_("Moved. It takes effect once a second person agrees.")
    following = entry_id if not goes_on else queue["next"] or queue["previous"]
    return visit.go(f"/review/{following}{filters.query}" if following else f"/review{filters.query}", said)


@router.post("/{entry_id}/check")
def check(entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.CHECK))]) -> Response:
    """Say that the evidence bears the claim out; the same result can be recognised next."""
    said = N_("Checked. It counts once it is recognised.")
    return _said(visit, entry_id, "check", check_entry, said, goes_on=False)


@router.post("/{entry_id}/scores")
def score(entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.CHECK))]) -> Response:
    """Score aspects of a model case; one without a score and a reason is left as it is."""
    scores: dict[str, dict[str, str]] = {}
    for code in ASPECT_WORDS:
        given = visit.values(f"score-{code}", f"reason-{code}")
        if given:
            scores[code] = {name.partition("-")[0]: text for name, text in given.items()}
    done = visit.attempt(
        lambda: visit.document(score_entry, entry_id=entry_id, body=visit.body(ScoresBody, {"scores": scores}))
    )
    if isinstance(done, Refusal):
        return _page(visit, entry_id, done, "score")
    return visit.go(f"/review/{entry_id}{_filters(visit).query}", N_("The scores are given."))


@router.post("/{entry_id}/recognise")
def recognise(
    entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.RECOGNISE))]
) -> Response:
    """Recognise a result, or move it where that takes two."""
    return _said(
        visit, entry_id, "recognise", recognise_entry, N_("Recognised: the result before this one counts now.")
    )


@router.post("/{entry_id}/return")
def give_back(entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.RETURN))]) -> Response:
    """Return a result to its alliance."""
    return _said(visit, entry_id, "return", return_entry, N_("Returned to the alliance with what is missing."))


@router.post("/{entry_id}/refuse")
def refuse(entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.REFUSE))]) -> Response:
    """Refuse a result."""
    return _said(visit, entry_id, "refuse", refuse_entry, N_("Refused. The alliance may report the result anew."))


@router.post("/{entry_id}/tell-apart")
def tell_apart(
    entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.TELL_APART))]
) -> Response:
    """Say that a held result is not the one it resembles."""
    said = N_("Told apart: it is reported now and can be checked.")
    return _said(visit, entry_id, "tell_apart", tell_entry_apart, said, goes_on=False)


@router.post("/{entry_id}/reverse")
def reverse(entry_id: EntryId, visit: Annotated[Visit, Depends(visiting(Resource.ENTRY, Action.REVERSE))]) -> Response:
    """Move that a recognised result be reversed."""
    said = N_("Moved. It takes effect once a second person agrees.")
    return _said(visit, entry_id, "reverse", reverse_entry, said, goes_on=False)
