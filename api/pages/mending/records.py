"""Mending records: finding one whatever has become of it, and retiring it or taking it back into use.

In: the programme office. Out: what is retired, with the reasons; a record with what hangs on it, and the forms that
mend it. It exists because whoever mends has to see what is to be mended, and everybody else's pages leave it out.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.documents.mending.records import RetireBody
from api.pages.shell.record_names import every, people, titles
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal, not_found
from api.routes.mending import retiring
from api.routes.mending.merging import list_merges
from indexer.instants import day_in_taipei, now
from indexer.records.mended.retired import Retirement, in_use
from indexer.records.record_tables import Evidence, Lab, School
from indexer.vocabulary import Mendable
from matcher.mending.finding import find_records
from matcher.mending.merging import MERGEABLE, mergings
from matcher.mending.references import Way, hanging_on
from matcher.mending.retiring import RecordName, record_name
from matcher.mending.schools import earlier_names, labs_of
from matcher.review.people import Principal

router = APIRouter(prefix="/admin/records", include_in_schema=False, route_class=ThreadedRoute)

KINDS = (Mendable.LAB, Mendable.COMPANY, Mendable.SCHOOL, Mendable.PERSON, Mendable.NEED)
"""What has a page here."""
_PAGES = {
    Mendable.LAB: "/labs/",
    Mendable.COMPANY: "/companies/",
    Mendable.NEED: "/needs/",
    Mendable.PERSON: "/admin/accounts/",
}
_ROUTES: dict[Mendable, tuple[Any, Any, str]] = {
    Mendable.LAB: (retiring.retire_lab, retiring.reinstate_lab, "lab_id"),
    Mendable.COMPANY: (retiring.retire_company, retiring.reinstate_company, "company_id"),
    Mendable.SCHOOL: (retiring.retire_school, retiring.reinstate_school, "school_id"),
    Mendable.NEED: (retiring.retire_need, retiring.reinstate_need, "need_id"),
    Mendable.PERSON: (retiring.retire_person, retiring.reinstate_person, "account_id"),
}
FOUND = 30


@router.get("")
def show_records(
    visit: Annotated[Visit, Depends(visiting(Resource.RECORD, Action.LIST))],
    kind: Annotated[str, Query(max_length=20)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Find a record, and see what is retired."""
    chosen = Mendable(kind) if kind in {one.value for one in KINDS} else Mendable.LAB
    merges = visit.document(list_merges)["items"]
    gone = {(one["kind"], one["gone_id"]) for one in merges}
    return visit.show(
        "mending/records.html",
        q=q.strip(),
        kind=chosen.value,
        kinds=[one.value for one in KINDS if one is not Mendable.NEED],
        found=visit.look(lambda session, _: find_records(session, chosen, q, limit=FOUND)) if q.strip() else None,
        schools=visit.look(lambda session, _: {key: name for key, (name, _) in every(session, School).items()}),
        most=FOUND,
        retired=[one for one in _retired(visit) if (one["kind"], one["record_id"]) not in gone],
        merges=merges,
    )


def _retired(visit: Visit) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = visit.document(retiring.list_retired)["items"]
    needs = [one["record_id"] for one in items if one["kind"] == Mendable.NEED]
    read = visit.look(lambda session, who: titles(session, who, needs, to=visit)) if needs else {}
    for one in items:
        if one["kind"] == Mendable.NEED:
            one["name"] = read.get(one["record_id"], "")
    return items


Reading = Annotated[Visit, Depends(visiting(Resource.RECORD, Action.READ))]
Ending = Annotated[Visit, Depends(visiting(Resource.RECORD, Action.END))]


@router.get("/{kind}/{record_id}")
def show_record(kind: str, record_id: str, visit: Reading) -> Response:
    """Show what hangs on a record, and how it can be mended."""
    return record_page(visit, mendable(visit, kind), record_id)


def mendable(visit: Visit, given: str) -> Mendable:
    """Return the kind of record that an address names.

    Raises:
        ProblemError: 404, it names none that has a page here; what the person may not enter comes first.
    """
    visit.who()
    if given not in {one.value for one in KINDS}:
        raise not_found("record")
    return Mendable(given)


def record_page(
    visit: Visit, kind: Mendable, record_id: str, refused: Refusal | None = None, form: str = ""
) -> Response:
    """Show a record, with the form that was refused."""
    context = visit.look(lambda session, who: record_context(session, who, kind, record_id, visit))
    if context is None:
        raise not_found(kind.value)
    typed = {name: str(value) for name, value in visit.form.items() if isinstance(value, str)} if refused else {}
    return visit.show(
        "mending/record.html",
        refused.status if refused else 200,
        **context,
        refused=refused,
        form=form,
        typed=typed,
        today=day_in_taipei(now()).isoformat(),
    )


def record_context(
    session: Session, who: Principal, kind: Mendable, record_id: str, visit: Visit
) -> dict[str, Any] | None:
    """Return what the page shows of a record, None if there is none."""
    called = record_name(session, kind, record_id)
    if called is None:
        return None
    if kind is Mendable.NEED:
        called = RecordName(titles(session, who, [record_id], to=visit).get(record_id, ""))
    these = (Retirement.record_id == record_id, col(Retirement.kind).in_([kind.value, Mendable.EVIDENCE.value]))
    rows = session.exec(select(Retirement).where(*these).order_by(col(Retirement.id).desc())).all()
    own = [row for row in rows if row.kind == kind]
    pieces = {row.part: row for row in rows if row.kind == Mendable.EVIDENCE and row.ended_at is None}
    return {
        "kind": kind.value,
        "record_id": record_id,
        "called": asdict(called),
        "own_page": _PAGES[kind] + record_id if kind in _PAGES else "",
        "retired": next((row for row in own if row.ended_at is None), None),
        "before": [row for row in own if row.ended_at is not None],
        "hanging": [one for one in hanging_on(session, kind, record_id) if one.reference.way is not Way.LISTED],
        "evidence": _evidence(session, record_id, pieces) if kind is Mendable.LAB else [],
        "people": people(session, [row.by for row in own] + [row.ended_by for row in own]),
        "names": earlier_names(session, record_id) if kind is Mendable.SCHOOL else [],
        "labs": labs_of(session, record_id) if kind is Mendable.SCHOOL else [],
        "schools": _others(session, record_id) if kind is Mendable.SCHOOL else [],
        "merged": mergings(session, of=(kind, record_id)),
        "can_merge": kind in MERGEABLE,
        "head": getattr(session.get(Lab, record_id), "pi", "") if kind is Mendable.LAB else "",
    }


def _others(session: Session, school_id: str) -> list[tuple[str, str, str]]:
    """Return id and names of the other schools in use."""
    usable = in_use(Mendable.SCHOOL, col(School.id))
    query = select(School.id, School.name, School.name_en).where(usable, School.id != school_id)
    return [(key, name, name_en) for key, name, name_en in session.exec(query.order_by(col(School.name))).all()]


def _evidence(session: Session, lab_id: str, retired: dict[str, Retirement]) -> list[dict[str, Any]]:
    rows = session.exec(select(Evidence).where(Evidence.lab_id == lab_id).order_by(col(Evidence.position))).all()
    return [
        {"id": row.id, "kind": row.kind, "title": row.title, "year": row.year, "retired": retired.get(row.id)}
        for row in rows
    ]


@router.post("/{kind}/{record_id}/retire")
def retire_record(kind: str, record_id: str, visit: Ending) -> Response:
    """Retire a record, or a piece of evidence of a lab that the form names."""
    chosen, piece = mendable(visit, kind), str(visit.form.get("piece") or "")
    endpoint, _, name = _ROUTES[chosen]

    def work() -> Any:
        body = visit.body(RetireBody, visit.values("reason", "since"))
        if piece:
            return visit.document(retiring.retire_evidence, lab_id=record_id, piece=piece, body=body)
        return visit.document(endpoint, **{name: record_id}, body=body)

    done = visit.attempt(work)
    if isinstance(done, Refusal):
        return record_page(visit, chosen, record_id, done, "retire")
    said = N_("The piece of evidence is retired.") if piece else N_("The record is retired.")
    return visit.go(f"/admin/records/{chosen}/{record_id}", said)


@router.post("/{kind}/{record_id}/reinstate")
def reinstate_record(kind: str, record_id: str, visit: Ending) -> Response:
    """Take a record, or a piece of evidence, back into use."""
    chosen, piece = mendable(visit, kind), str(visit.form.get("piece") or "")
    _, endpoint, name = _ROUTES[chosen]
    if piece:
        visit.reply(retiring.reinstate_evidence, lab_id=record_id, piece=piece)
    else:
        visit.reply(endpoint, **{name: record_id})
    return visit.go(f"/admin/records/{chosen}/{record_id}", N_("It is in use again."))
