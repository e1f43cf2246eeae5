"""What waits, as the night counts it: the same that each desk shows, alliance by alliance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import Session, select, update

from indexer.database import reading, writing
from indexer.instants import day_in_taipei
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.review.cases import Case
from matcher.review.clients import Client
from matcher.review.desk.reminders import REMINDER_LABELS, UNASSIGNED, Counts, Reminder, reminders, totals
from matcher.review.intake import adopt
from matcher.review.proposals import PairingState, StoredPairing
from tests.rig.worlds.small_world import Asked, asked

NOW = datetime.now(UTC)


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        yield made


def _counts(here: Asked, later: timedelta = timedelta()) -> Counts:
    with reading(here.engine) as session:
        return reminders(session, now=NOW + later, silent_days=60)


def _mine(here: Asked, reminder: Reminder, later: timedelta = timedelta()) -> int:
    return _counts(here, later).get("al-a", {}).get(reminder, 0)


def test_each_list_of_the_desk_is_counted(here: Asked) -> None:
    queue = here.done("expert", "GET", "/api/queue")
    assert _mine(here, Reminder.NEW_NEEDS) == len(queue["new_needs"]) == 1
    assert _mine(here, Reminder.NEEDS_TO_REVIEW) == len(queue["needs_to_review"]) == 1
    here.done("expert", "POST", "/api/needs/n-1/take-up")
    other = here.done("expert", "POST", "/api/needs", json={"company": "co-1", "title": "另一項"})["id"]
    here.done("expert", "POST", f"/api/needs/{other}/take-up")
    assert _mine(here, Reminder.NEW_NEEDS) == 0
    assert _mine(here, Reminder.NEEDS_TO_MATCH) == len(here.done("expert", "GET", "/api/queue")["needs_to_match"]) == 1

    with writing(here.engine) as session:
        due = {"state": PairingState.DEFERRED.value, "deferred_until": day_in_taipei(NOW)}
        session.connection().execute(update(StoredPairing).values(**due))
    assert _mine(here, Reminder.DEFERRED_DUE) == 1
    assert _mine(here, Reminder.DEFERRED_DUE, -timedelta(days=1)) == 0
    assert _mine(here, Reminder.NEEDS_TO_REVIEW) == 0


def test_cases_and_companies_without_contact_are_counted(here: Asked) -> None:
    accepted = {"verdict": "accept", "proposal_id": here.world.proposal_id}
    here.done("expert", "POST", f"/api/pairings/{here.world.pairing_id}/decision", json=accepted)
    with reading(here.engine) as session:
        (case_id,) = session.exec(select(Case.id)).all()
        clients = len(session.exec(select(Client)).all())
    later = timedelta(days=100)
    assert _mine(here, Reminder.CASES_WITHOUT_CONTACT) == 0
    assert _mine(here, Reminder.CASES_WITHOUT_CONTACT, later) == 1
    assert sum(one.get(Reminder.SILENT_COMPANIES, 0) for one in _counts(here, later).values()) == clients
    day = day_in_taipei(NOW)
    step = {"kind": "call", "held_on": str(day), "next_step": "call again", "next_on": str(day + timedelta(days=1))}
    here.done("expert", "POST", f"/api/cases/{case_id}/contacts", json=step)
    assert _mine(here, Reminder.FOLLOW_UPS_DUE) == 0
    assert _mine(here, Reminder.FOLLOW_UPS_DUE, timedelta(days=1)) == 1
    assert _mine(here, Reminder.CASES_WITHOUT_CONTACT, timedelta(days=59)) == 0


def test_a_need_of_nobody_is_counted_for_nobody(here: Asked) -> None:
    def add(session: Session) -> None:
        import_rows(session, "needs", [{"id": "n-none", "title": "無主"}])
        adopt(session, need_ids=["n-none"], alliance_id=None, by=None, now=NOW)

    with writing(here.engine) as session:
        add(session)
    counts = _counts(here)
    assert counts[UNASSIGNED] == {Reminder.NEW_NEEDS: 1}
    assert totals(counts)["new_needs"] == 2
    assert totals({}) == dict.fromkeys([one.value for one in Reminder], 0)
    assert set(REMINDER_LABELS) == set(Reminder)
