"""Grading in pages: the need on the left, the lab with its evidence on the right, one key for each grade.

In: a pair, and a form with a grade. Out: the two texts, what this person said, and the next pair that waits. It shows
neither rank nor score, nor links to pages that do, so that a judge meets the texts and nothing else.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session

from api.access.policy import Action, Resource
from api.documents.bodies import GradeBody, SettlementBody
from api.pages.shell.form_fields import NEED_FACTS
from api.pages.shell.record_names import called, language
from api.pages.shell.visiting import Visit, visiting, what_to_do
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal, not_found
from api.routes.judging.judgings import JudgingId, read_judging
from api.routes.judging.pairs import JudgedPairId, grade_pair, read_judged_pair, settle_pair
from api.routes.labs import read_lab
from api.routes.needs import read_need
from indexer.records.exchange import LabIn
from indexer.records.field_notes import declared
from indexer.records.record_tables import Company, School
from matcher.judging.panel.agreement import GRADES
from matcher.judging.panel.grades import Said
from matcher.review.people import Account, Principal

router = APIRouter(prefix="/judging/{judging_id}", include_in_schema=False, route_class=ThreadedRoute)

GRADE_WORDS: dict[int, str] = {
    0: N_("not useful"),
    1: N_("marginal"),
    2: N_("clearly suitable"),
    3: N_("would introduce it"),
}
"""What a button says."""
MEANINGS: dict[int, str] = {
    3: N_(
        "An expert would introduce it: the lab's own evidence shows that it has solved this problem, or the same one "
        "on a very near material or setting, for the main ask."
    ),
    2: N_(
        "Clearly suitable: it covers the main ask by method or application with some adaptation, or a secondary ask "
        "(talent, facility, training …) in full and in the need's own subject."
    ),
    1: N_(
        "Marginal: a neighbouring subject; it could advise or cover a small part. An expert would look at it but "
        "probably not introduce it."
    ),
    0: N_(
        "Not useful, or it must not be proposed: the need excludes it, it states a conflict with the company, has no "
        "capacity, offers nothing of the kind, or rules out what the need insists on."
    ),
}
"""What the grades mean, as in the rules that the demo world was graded by."""
_CANNOT_SAY = "?"
_LAB_APART = (
    *("id", "name", "name_en", "pi", "school", "fields", "summary", "summary_en"),
    *("offers", "capacity", "languages", "links"),
)
_LAB_FACTS = tuple(one for one in declared(LabIn) if one.name not in _LAB_APART)
_NEED_FACTS = tuple(one for one in NEED_FACTS if one.name not in ("confidentiality", "languages"))


@router.get("/next")
def show_next(
    judging_id: JudgingId, visit: Annotated[Visit, Depends(visiting(Resource.JUDGING, Action.GRADE))]
) -> Response:
    """Lead to the first pair that waits for this person, or to the session where none does."""
    yours = visit.document(read_judging, judging_id=judging_id)["yours"]
    if yours is None or yours["first_open"] is None:
        return visit.go(f"/judging/{judging_id}")
    return visit.go(f"/judging/{judging_id}/pairs/{yours['first_open']}")


@router.get("/pairs/{judged_pair_id}")
def show_pair(
    judging_id: JudgingId,
    judged_pair_id: JudgedPairId,
    visit: Annotated[Visit, Depends(visiting(Resource.JUDGING, Action.GRADE))],
) -> Response:
    """Show a pair to grade."""
    return _pair_page(visit, judging_id, judged_pair_id)


def _pair_page(visit: Visit, judging_id: int, judged_pair_id: int, refused: Refusal | None = None) -> Response:
    pair = visit.document(read_judged_pair, judging_id=judging_id, judged_pair_id=judged_pair_id)
    need = visit.document(read_need, need_id=pair["need_id"])
    lab = visit.document(read_lab, lab_id=pair["lab_id"])

    def named(session: Session, who: Principal) -> dict[str, Any]:
        speakers = [one["by"] for one in (*(pair["words"] or ()), pair["settled"]) if one is not None]
        found = called(session, {Company: [need["company"]], School: [lab["school"]], Account: speakers})
        return {"companies": found[Company], "schools": found[School], "people": found[Account]}

    return visit.show(
        "judging/pair.html",
        refused.status if refused else 200,
        pair=pair,
        need=need,
        need_facts=_NEED_FACTS,
        lab=lab,
        lab_facts=_LAB_FACTS,
        languages=[language(code) for code in lab["languages"]],
        need_languages=[language(code) for code in need["languages"] or ()],
        can_undo=pair["last_said"] is not None,
        grades=[(grade, GRADE_WORDS[grade]) for grade in GRADES],
        meanings=list(MEANINGS.items()),
        typed=visit.form.get("note") if refused else None,
        refused=refused,
        what_to_do=None if refused is None else what_to_do(refused.name),
        **visit.look(named),
    )


@router.post("/pairs/{judged_pair_id}/grade")
def grade(
    judging_id: JudgingId,
    judged_pair_id: JudgedPairId,
    visit: Annotated[Visit, Depends(visiting(Resource.JUDGING, Action.GRADE))],
) -> Response:
    """Store a grade, and go on to the next pair that waits."""
    answer = visit.form.get("answer")
    said: dict[str, Any] = {"said": Said.CANNOT_SAY} if answer == _CANNOT_SAY else {"grade": answer}
    body = {**said, "note": visit.form.get("note", "")}
    here = {"judging_id": judging_id, "judged_pair_id": judged_pair_id}
    done = visit.attempt(lambda: visit.document(grade_pair, body=visit.body(GradeBody, body), **here))
    return _gone_on(visit, judging_id, judged_pair_id, done)


@router.post("/pairs/{judged_pair_id}/settlement")
def settle(
    judging_id: JudgingId,
    judged_pair_id: JudgedPairId,
    visit: Annotated[Visit, Depends(visiting(Resource.JUDGING, Action.SETTLE))],
) -> Response:
    """Store the grade that settles a pair, and go on to the next one."""
    body = {"grade": visit.form.get("answer"), "note": visit.form.get("note", "")}
    here = {"judging_id": judging_id, "judged_pair_id": judged_pair_id}
    done = visit.attempt(lambda: visit.document(settle_pair, body=visit.body(SettlementBody, body), **here))
    return _gone_on(visit, judging_id, judged_pair_id, done)


def _gone_on(visit: Visit, judging_id: int, judged_pair_id: int, done: Any) -> Response:
    if isinstance(done, Refusal):
        if done.status == 404:
            raise not_found("pair")
        return _pair_page(visit, judging_id, judged_pair_id, done)
    if done["next_open"] is not None:
        return visit.go(f"/judging/{judging_id}/pairs/{done['next_open']}")
    return visit.go(f"/judging/{judging_id}", N_("That was the last one. Thank you."))


@router.post("/undo")
def undo(judging_id: JudgingId, visit: Annotated[Visit, Depends(visiting(Resource.JUDGING, Action.GRADE))]) -> Response:
    """Take back what this judge said last, and return to that pair."""
    yours = visit.document(read_judging, judging_id=judging_id)["yours"]
    if yours is None or yours["last_said"] is None:
        return visit.go(f"/judging/{judging_id}/next", N_("There is nothing to take back."))
    number = yours["last_said"]
    visit.document(
        grade_pair,
        judging_id=judging_id,
        judged_pair_id=number,
        body=visit.body(GradeBody, {"said": Said.TAKEN_BACK}),
    )
    return visit.go(f"/judging/{judging_id}/pairs/{number}", N_("Taken back: grade this pair anew."))
