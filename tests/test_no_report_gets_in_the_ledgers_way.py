"""A report can't take the place of the ledger's own rows, hide its company, or change a figure that was shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from indexer.database import reading, writing
from matcher.ledger.figures.folds import Status, figures
from matcher.ledger.rows.entries import MAX_REPORTED_ID, AlreadyReportedError, Entry, LedgerError
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.result_claims import ExternalClaim, note_external
from matcher.ledger.rule_documents import move_document, second_document
from matcher.ledger.rules.configuration import default
from matcher.ledger.rules.recognition import ConflictError, RecognitionRules, check, move_reversal, second_reversal
from matcher.ledger.rules.reporting import NewResult, report
from matcher.review.people import declare_stake
from tests.rig.worlds.ledger_world import NOON, PROOF, LedgerWorld, build_ledger_world, money, recognised


@pytest.fixture
def world(engine: Engine) -> LedgerWorld:
    return build_ledger_world(engine)


@pytest.mark.parametrize("entry_id", ["acceptance-7", "money-0001-reversal", "x" * (MAX_REPORTED_ID + 1)])
def test_ids_of_the_ledgers_own_rows_are_reserved(engine: Engine, world: LedgerWorld, entry_id: str) -> None:
    with pytest.raises(LedgerError, match="the ledger's own") as refused, writing(engine) as session:
        report(session, money(entry_id), by=world.people["reporter"], now=NOON)
    assert refused.value.field == "id"


def test_an_entry_with_the_longest_id_can_be_reversed(engine: Engine, world: LedgerWorld) -> None:
    longest = "m" * MAX_REPORTED_ID
    with writing(engine) as session:
        recognised(session, world, money(longest))
        motion = move_reversal(session, entry_id=longest, reason="誤植", by=world.people["office"], now=NOON)
        second_reversal(session, motion_id=motion.id or 0, by=world.people["second_office"], now=NOON)
        assert session.exec(select(Entry.reverses).order_by(Entry.seq)).all() == [None, longest]


@pytest.mark.parametrize("company_id", [None, "co-1"])
def test_a_membership_is_a_matter_of_the_member_whatever_else_is_named(
    engine: Engine, world: LedgerWorld, company_id: str | None
) -> None:
    details = {"company": "co-2", "company_name": "乙公司", "country": "DE", "tier": "gold"}
    given = NewResult("member-0001", Kpi.MEMBERS, 1, {"al-a": 10_000}, details, date(2019, 5, 2), "sc-1")
    by = world.people["committee"]
    with writing(engine) as session:
        declare_stake(session, account_id=by, party="company", party_id="co-2", now=NOON)
        more = {"company_id": company_id, "value_added": "促成", "evidence": PROOF}
        entry, _ = report(session, replace(given, **more), by=world.people["reporter"], now=NOON)  # type: ignore[arg-type]
        assert entry.company_id == "co-2"
        with pytest.raises(ConflictError):
            check(session, entry_id=entry.id, by=by, now=NOON)


def test_a_claim_of_another_programme_is_noted_once(engine: Engine, world: LedgerWorld) -> None:
    def claim() -> ExternalClaim:
        more = {"claimant": "某計畫", "reference": "X", "party": "某", "noted_by": world.people["office"]}
        return ExternalClaim(programme="patent", kpi="L", natural_key="k", noted_at=NOON, **more)

    with writing(engine) as session:
        note_external(session, claim())
    with pytest.raises(AlreadyReportedError, match="noted already"), writing(engine) as session:
        note_external(session, claim())


def test_a_figure_of_yesterday_keeps_yesterdays_rules(engine: Engine, world: LedgerWorld) -> None:
    rules = default(RecognitionRules)
    later = datetime(2019, 6, 1, tzinfo=UTC)
    with writing(engine) as session:
        recognised(session, world, money())
        shorter = rules.model_copy(update={"programme_end": date(2019, 4, 30)})
        motion = move_document(session, shorter, reason="提前結束", by=world.people["office"], now=later)
        second_document(session, motion_id=motion.id or 0, by=world.people["second_office"], now=later)
    with reading(engine) as session:
        shown = [
            (figures(session, as_of=moment).whole(Kpi.MONEY), figures(session, as_of=moment).whole(Kpi.MONEY, status=s))
            for moment, s in ((later - timedelta(days=1), Status.ACTUAL), (later, Status.AFTER_PROGRAMME))
        ]
    assert shown == [(1_000_000, 1_000_000), (0, 1_000_000)]
