"""What was signed with a lab before, over all alliances: how much and when, never with whom."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlmodel import Session

from indexer.database import writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.review.cases import Case, Stage
from matcher.review.conversation.signing import Signing
from matcher.review.decisions import Decision
from matcher.review.proposals import Proposal, StoredPairing
from tests.rig.worlds.small_world import MORNING, Asked, asked, proposal_of

NONE = {"signed": 0, "alliances": 0, "first_year": None, "last_year": None, "fields": [], "kinds": []}


def _signed(here: Asked, session: Session, number: int, alliance: str, stage: Stage = Stage.SIGNED) -> None:
    """Store a case with lab 1 whose need is about one field, of a company that nobody else may learn of."""
    need_id = f"n-past-{number}"
    row: dict[str, Any] = {
        "id": need_id,
        "company": "co-2",
        "title": f"密{number}",
        "fields": ["semiconductor", *(["biomedicine"] if number == 1 else [])],
        "asks": [{"kind": "technology" if number < 3 else "talent", "text": "x"}],
    }
    import_rows(session, "needs", [row])
    by = here.accounts["expert"]
    pairing = StoredPairing(need_id=need_id, lab_id="lab-1")
    session.add(pairing)
    session.flush()
    proposal = proposal_of(pairing.id or 0, by)
    session.add(proposal)
    session.flush()
    decision = Decision(
        pairing_id=pairing.id or 0, proposal_id=_id(proposal), verdict="accept", by=by, at=MORNING, alliance_id=alliance
    )
    session.add(decision)
    session.flush()
    case = Case(
        pairing_id=pairing.id or 0,
        decision_id=decision.id or 0,
        need_id=need_id,
        lab_id="lab-1",
        company_id="co-2",
        alliance_id=alliance,
        owner_id=by,
        stage=stage.value,
        opened_at=MORNING - timedelta(days=1_400),
    )
    session.add(case)
    session.flush()
    if stage is Stage.SIGNED and number:
        signing = Signing(case_id=case.id or 0, signed_on=date(2023 + number, 5, 1), by=by, at=datetime.now(UTC))
        signing.instalments, signing.shares = [], {}
        session.add(signing)


def _id(proposal: Proposal) -> int:
    return proposal.id or 0


def test_past_cooperation_is_told_by_number_and_what_few_have_not_at_all(settings: Settings) -> None:
    with asked(settings) as here:
        path = "/api/labs/lab-1/cooperation"
        assert here.done("expert", "GET", path) == NONE
        with writing(here.engine) as session:
            for number, alliance in enumerate(("al-a", "al-b", "al-b")):
                _signed(here, session, number, alliance)
            # What is not signed, or came to nothing, is no cooperation.
            _signed(here, session, 3, "al-b", Stage.NEGOTIATING)
            _signed(here, session, 4, "al-b", Stage.LOST)
        found = here.done("expert", "GET", path)
        # Signed before its day was asked for, a case counts in the year in which it was opened.
        assert found == {
            "signed": 3,
            "alliances": 2,
            "first_year": 2023,
            "last_year": 2025,
            "fields": [{"name": "半導體", "cases": 3}],
            "kinds": [{"name": "technology", "cases": 3}],
        }
        assert [here.done(who, "GET", path) for who in ("stranger", "office", "researcher")] == [found] * 3
        assert [here.ask(who, "GET", path).status_code for who in ("company", "other_researcher")] == [403, 404]
        assert here.done("expert", "GET", "/api/labs/lab-2/cooperation") == NONE
