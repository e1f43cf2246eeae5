"""The night takes figures down, says what changed since the last one, and proposes the warnings that pages show."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

import pytest

from api.nightly.night_steps import propose_warnings
from api.nightly.step import StepOutcome, StepWork
from indexer.instants import TAIPEI
from indexer.settings import Settings
from tests.rig.worlds.nights import carried_out, only
from tests.rig.worlds.small_world import Asked, asked

DAY = date(2019, 6, 30)


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        yield made


def test_what_changed_since_the_night_before_is_told(here: Asked, settings: Settings) -> None:
    first = carried_out(settings, only("figures", "report"))
    assert first.step("figures").details == {"since": None, "rows": []}
    accepted = {"verdict": "accept", "proposal_id": here.world.proposal_id}
    here.done("expert", "POST", f"/api/pairings/{here.world.pairing_id}/decision", json=accepted)
    second = carried_out(settings, only("figures", "report")).step("figures")
    (row,) = second.details["rows"]
    assert second.details["since"] == first.day.isoformat()
    assert (row["alliance"], row["kpi"], row["actual"], row["change"]) == ("al-a", "acceptances", 1, 1)
    assert second.figures["changed"] == 1
    third = carried_out(settings, only("figures", "report")).step("figures")
    assert [row["change"] for row in third.details["rows"]] == [0]
    assert third.figures["changed"] == 0


def _proposed(settings: Settings, day: date) -> StepOutcome:
    night = carried_out(settings, only("report"))
    at = datetime.combine(day, time(2, 30), TAIPEI)
    return propose_warnings(StepWork(settings, night, at, lambda *_: None))


def test_the_warnings_that_are_due_are_those_of_the_page(here: Asked, settings: Settings) -> None:
    shown = here.done("office", "GET", f"/api/warnings?as_of={DAY}")
    wanted = [
        (one["alliance"], finding["kpi"], finding["finding"])
        for one in shown["alliances"]
        for finding in one["findings"]
    ]
    outcome = _proposed(settings, DAY)
    told = [(one["alliance"], one["kpi"], one["finding"]) for one in outcome.details["findings"]]
    assert len(wanted) > 1
    assert sorted(told) == sorted(wanted)
    assert outcome.figures["warn"] == len(wanted)
    # A night only proposes: no step was taken, and the next night proposes the same.
    assert here.done("office", "GET", "/api/alliances/al-a/standing")["steps"] == []
    assert _proposed(settings, DAY + timedelta(days=1)).figures["warn"] == len(wanted)
    # The control: in a year without targets there is nothing to propose.
    assert _proposed(settings, date(2026, 11, 24)).figures["warn"] == 0
