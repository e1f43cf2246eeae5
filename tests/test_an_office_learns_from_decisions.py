"""`gloria learn`: a challenger from decisions, promoted by a named person after it proved better, and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from api.backups.backup import back_up
from api.backups.restore import bring_back
from api.trail.audit_trail import AuditRow, AuditSubject
from indexer.database import reading, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from matcher.judging.champion.decisions import taught
from matcher.judging.champion.promotion import NEW_DECISIONS, is_worth_learning, learn
from matcher.ranking.opened.live import LiveMatcher
from matcher.ranking.pairings import Matcher
from matcher.ranking.ranker import WeightsError
from matcher.ranking.rankers import content_of, default_ranker, put_in_use, ranker_in_use, rankers_path, store
from matcher.ranking.signals import FEATURES, HISTORY
from matcher.review.decisions import Decision, Reason, Verdict, decide, undo
from matcher.review.people import add_account, grant
from matcher.review.proposals import Proposal, StoredPairing, record
from matcher.review.roles import Role
from tests.conftest import Gloria
from tests.rig.servers.served_here import Home, build_home
from tests.rig.worlds.small_world import MORNING

pytestmark = pytest.mark.postgresql_at_length

LABS = 12
NEEDS = 150
OFFICE, EXPERT = "office@example.org", "expert@example.org"
DEFAULT = default_ranker()
WEIGHTS = np.array(DEFAULT.weights)


@dataclass(frozen=True)
class Programme:
    """A programme with labs, needs of 25 companies, an expert and somebody of the office."""

    settings: Settings
    engine: Engine
    gloria: Gloria
    expert: str
    office: str

    def learn(self, *arguments: object) -> Any:
        """Run `gloria learn`."""
        return self.gloria(
            "learn", *arguments, home=self.settings.home, database_url=self.settings.database_url, lang="en"
        )

    def show(self, session: Session, need: str, values: np.ndarray, version: str = DEFAULT.version) -> list[int]:
        """Store labs as shown for a need, best score first, and return the numbers of the proposals."""
        order = np.argsort(-(values @ WEIGHTS), kind="stable").tolist()
        pairings = [StoredPairing(need_id=need, lab_id=f"lab-{row}") for row in order]
        session.add_all(pairings)
        session.flush()
        proposals = []
        for rank, (row, pairing) in enumerate(zip(order, pairings, strict=True), start=1):
            amounts = (values[row] * WEIGHTS).tolist()
            proposals.append(
                Proposal(
                    pairing_id=pairing.id or 0,
                    digest=f"{need} {rank}",
                    rank=rank,
                    score=sum(amounts),
                    band="plausible",
                    contributions=dict(zip(FEATURES, amounts, strict=True)),
                    explanation={},
                    generation="g-1",
                    ranker_version=version,
                    shown_at=MORNING,
                    shown_to=self.expert,
                )
            )
        session.add_all(proposals)
        session.flush()
        return [proposal.id or 0 for proposal in proposals]

    def say(self, session: Session, proposal: int, verdict: Verdict, hours: int = 0, **more: Any) -> None:
        """Decide on a proposal."""
        pairing = session.exec(select(Proposal.pairing_id).where(Proposal.id == proposal)).one()
        now = MORNING + timedelta(hours=hours)
        decide(
            session,
            pairing_id=pairing,
            proposal_id=proposal,
            verdict=verdict,
            by=self.expert,
            alliance_id="al-a",
            now=now,
            **more,
        )


@pytest.fixture
def programme(settings: Settings, engine: Engine, gloria: Gloria) -> Programme:
    with writing(engine) as session:
        import_rows(session, "alliances", [{"id": "al-a", "name": "甲聯盟"}])
        import_rows(session, "companies", [{"id": f"co-{n}", "name": f"第{n}公司"} for n in range(25)])
        import_rows(session, "labs", [{"id": f"lab-{n}", "name": f"第{n}實驗室"} for n in range(LABS)])
        needs = [{"id": f"n-{n}", "company": f"co-{n % 25}", "title": "拋光太慢"} for n in range(NEEDS)]
        import_rows(session, "needs", needs)
        people = {}
        for email, role, scope in ((EXPERT, Role.EXPERT, "al-a"), (OFFICE, Role.OFFICE, "")):
            account = add_account(session, email=email, name=email, now=MORNING)
            grant(session, account_id=account.id, role=role, scope_id=scope, by=None, now=MORNING)
            people[email] = account.id
    return Programme(settings, engine, gloria, people[EXPERT], people[OFFICE])


def _values(chance: np.random.Generator) -> np.ndarray:
    values = np.zeros((LABS, len(FEATURES)))
    values[:, :2] = chance.gamma(0.7, 0.03, (LABS, 2))
    for name in ("offer", "recency", "field"):
        values[:, FEATURES.index(name)] = chance.choice([0.0, 0.5, 1.0], LABS)
    return values


def _decide_all(programme: Programme, *, by_chance: bool = False) -> None:
    """Let the expert accept the labs with recent evidence that offer what is asked, whatever stands above them."""
    chance = np.random.default_rng(5)
    with writing(programme.engine) as session:
        for n in range(NEEDS):
            values = _values(chance)
            order = np.argsort(-(values @ WEIGHTS), kind="stable")
            liked = values[:, [FEATURES.index("recency"), FEATURES.index("offer")]].sum(axis=1)[order] >= 1.5
            liked = chance.random(LABS) < 0.4 if by_chance else liked
            proposals = programme.show(session, f"n-{n}", values)
            session.add_all(
                Decision(
                    pairing_id=session.get_one(Proposal, proposal).pairing_id,
                    proposal_id=proposal,
                    verdict=(Verdict.ACCEPT if good else Verdict.REJECT).value,
                    reason=None if good else Reason.WRONG_FIELD.value,
                    defer_until=None,
                    alliance_id="al-a",
                    by=chance.choice([programme.expert, programme.office]),
                    at=MORNING + timedelta(hours=n),
                )
                for proposal, good in zip(proposals, liked.tolist(), strict=True)
                if chance.random() < 0.6
            )


def _trail(engine: Engine) -> list[tuple[str, str | None, str]]:
    with reading(engine) as session:
        query = select(AuditRow.operation, AuditRow.account_id, AuditSubject.subject_id).join(
            AuditSubject, col(AuditSubject.seq) == AuditRow.seq
        )
        return [tuple(row) for row in session.exec(query.order_by(col(AuditRow.seq))).all()]  # type: ignore[misc]


@pytest.mark.postgresql_too
def test_a_better_challenger_is_promoted_by_a_person_and_the_release_brought_back(programme: Programme) -> None:
    _decide_all(programme)
    learned = programme.learn("--json")
    assert (learned.code, learned.err) == (0, "")
    document = learned.document
    version = document["version"]
    assert document["comparison"]["better"]
    assert document["comparison"]["ndcg_at_10"]["low"] > 0
    assert ranker_in_use(programme.settings) == DEFAULT
    unnamed = programme.learn("--promote", version)
    assert (unnamed.code, unnamed.out) == (1, "")
    assert "--by EMAIL" in unnamed.err
    assert "is not of the programme office" in programme.learn("--promote", version, "--by", EXPERT).err
    assert ranker_in_use(programme.settings) == DEFAULT
    assert _trail(programme.engine) == []
    promoted = programme.learn("--promote", version, "--by", OFFICE)
    assert (promoted.code, promoted.out) == (0, f"{version} is in use from now on\n")
    used = ranker_in_use(programme.settings)
    assert used.version == version
    assert used.weights[FEATURES.index("recency")] > DEFAULT.weights[FEATURES.index("recency")]
    assert used.strong_from > used.plausible_from
    back = programme.learn("--restore", DEFAULT.version, "--by", OFFICE)
    assert back.code == 0
    assert ranker_in_use(programme.settings) == DEFAULT
    assert programme.learn("--restore", version, "--by", OFFICE).code == 0
    rows = programme.learn("--list", "--json").document["rankers"]
    assert [(row["version"], row["in_use"]) for row in rows] == [(DEFAULT.version, False), (version, True)]
    assert _trail(programme.engine) == [
        ("learn promote", programme.office, version),
        ("learn restore", programme.office, DEFAULT.version),
        ("learn restore", programme.office, version),
    ]


def test_one_that_is_no_better_is_kept_and_refused(programme: Programme) -> None:
    _decide_all(programme, by_chance=True)
    document = programme.learn("--json").document
    assert not document["comparison"]["better"]
    refused = programme.learn("--promote", document["version"], "--by", OFFICE)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith(f"{document['version']} is not promoted: ")
    assert "was never in use" in programme.learn("--restore", document["version"], "--by", OFFICE).err
    assert ranker_in_use(programme.settings) == DEFAULT
    assert _trail(programme.engine) == []


def test_only_what_is_said_on_topic_teaches(programme: Programme) -> None:
    values = _values(np.random.default_rng(1))
    with writing(programme.engine) as session:
        first, second, third, fourth, fifth, *_ = programme.show(session, "n-1", values)
        programme.say(session, first, Verdict.REJECT, reason=Reason.NO_CAPACITY)
        programme.say(session, second, Verdict.REJECT, reason=Reason.WRONG_FIELD)
        programme.say(session, third, Verdict.ACCEPT)
        programme.say(session, fourth, Verdict.DEFER, reason=Reason.TOO_EARLY, defer_until=date(2027, 1, 1))
        programme.say(session, fifth, Verdict.ACCEPT)
        pairing = session.exec(select(Proposal.pairing_id).where(Proposal.id == fifth)).one()
        undo(session, pairing_id=pairing, by=programme.expert, now=MORNING)
        other = programme.show(session, "n-2", values, version="2020-01-01")
        programme.say(session, other[0], Verdict.ACCEPT)
        found = taught(session, programme.settings)
    assert (found.accepted, found.rejected, found.silent, found.unknown, found.decisions) == (1, 1, 2, 1, 5)
    [lesson] = found.lessons
    assert (lesson.need, lesson.company, len(lesson.labs)) == ("n-1", "co-1", LABS)
    assert lesson.told.tolist() == [False, True, True] + [False] * (LABS - 3)
    assert lesson.gains[lesson.told].tolist() == [0, 1]
    order = np.argsort(-(values @ WEIGHTS), kind="stable")
    np.testing.assert_allclose(lesson.values, values[order])


def test_without_decisions_nothing_is_learned_or_written(programme: Programme) -> None:
    answer = programme.learn()
    assert (answer.code, answer.err) == (0, "")
    assert f"nothing is learned of it; {DEFAULT.version} stays in use" in answer.out
    assert not rankers_path(programme.settings).exists()


def test_the_night_learns_when_there_are_enough_new_decisions(programme: Programme) -> None:
    with reading(programme.engine) as session:
        assert not is_worth_learning(session, programme.settings)
    _decide_all(programme)
    with reading(programme.engine) as session:
        assert is_worth_learning(session, programme.settings)
        found = learn(session, programme.settings)
        assert found.learned_from["decisions"] >= NEW_DECISIONS
        assert not is_worth_learning(session, programme.settings)
        assert learn(session, programme.settings).version == found.version
    assert ranker_in_use(programme.settings) == DEFAULT


def _kept(settings: Settings) -> str:
    content: dict[str, Any] = {
        "weights": dict(zip(FEATURES, [*(WEIGHTS[:2] / 2).tolist(), *WEIGHTS[2:].tolist()], strict=True)),
        "bands": {"strong_from": 7.0, "plausible_from": 5.0},
        "asks": {"evidence": 4.0, "score": 1.0, "offset": -10.0},
    }
    return store(settings, content, "2026-11-30")


def test_a_file_that_was_changed_is_not_used(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    version = _kept(settings)
    put_in_use(settings, version, by="u-1", now=MORNING)
    assert ranker_in_use(settings).version == version
    path = rankers_path(settings) / f"{version}.json"
    content = orjson.loads(path.read_bytes())
    content["weights"]["words"] = 100.0
    path.write_bytes(orjson.dumps(content))
    with pytest.raises(WeightsError, match="was changed or damaged"):
        ranker_in_use(settings)


@pytest.fixture
def home(settings: Settings, engine: Engine, slice_of_world: Path, indexed_home: Path) -> Home:
    return build_home(settings, engine, slice_of_world, indexed_home)


@pytest.fixture
def live(home: Home) -> Iterator[LiveMatcher]:
    live = LiveMatcher(home.settings, home.engine, check_every_s=0, takes_in=False)
    yield live
    live.close()


def test_a_server_takes_up_a_promoted_ranker_and_keeps_it_if_the_file_breaks(home: Home, live: LiveMatcher) -> None:
    before = live.current().match(home.need)
    assert before.ranker_version == DEFAULT.version
    version = _kept(home.settings)
    put_in_use(home.settings, version, by="u-1", now=MORNING)
    after = live.current().match(home.need)
    assert after.ranker_version == version
    assert after.pairings[0].score < before.pairings[0].score
    (rankers_path(home.settings) / "in-use.json").write_bytes(b"{")
    assert live.current().match(home.need).ranker_version == version
    assert live.state().problem is not None
    put_back = orjson.dumps({"used": [{"version": DEFAULT.version}]})
    (rankers_path(home.settings) / "in-use.json").write_bytes(put_back)
    assert live.current().match(home.need) == before
    assert live.state().problem is None


def test_what_was_decided_in_an_indexed_home_is_remembered_without_any_text(home: Home) -> None:
    """Decide on real proposals as one who likes labs of odd number, if they rank well: that is remembered."""
    matcher = Matcher.open(home.settings)
    with writing(home.engine) as session:
        import_rows(session, "alliances", [{"id": "al-a", "name": "甲聯盟"}])
        expert = add_account(session, email=EXPERT, name="專家", now=MORNING).id
        for n, need in enumerate(matcher.needs.values()):
            result = matcher.match(need, top=20)
            ranks = {one.lab_id: one.rank for one in result.pairings}
            for lab, shown in record(session, result=result, shown_to=expert, now=MORNING).items():
                good = int(lab[-2:]) % 2 == 1 and ranks[lab] <= 12
                session.add(
                    Decision(
                        pairing_id=shown.pairing_id,
                        proposal_id=shown.proposal_id,
                        verdict=(Verdict.ACCEPT if good else Verdict.REJECT).value,
                        reason=None if good else Reason.WRONG_FIELD.value,
                        defer_until=None,
                        alliance_id="al-a",
                        by=expert,
                        at=MORNING + timedelta(hours=n),
                    )
                )
    with reading(home.engine) as session:
        found = learn(session, home.settings)
    assert found.version is not None
    content = content_of(home.settings, found.version)
    kept = content["history"]
    assert kept["amount"] > 0
    assert {one["need"] for one in kept["needs"]} <= matcher.needs.keys()
    # The later needs are measured on, and not remembered.
    assert 0 < len(kept["needs"]) < len(matcher.needs)
    written = orjson.dumps(content).decode()
    texts = {text for need in matcher.needs.values() for text in (need.title, need.company, need.description) if text}
    assert [text for text in texts if text in written] == []
    put_in_use(home.settings, found.version, by="u-1", now=MORNING)
    after = Matcher.open(home.settings)
    need = next(need for need in after.needs.values() if need.id not in {one["need"] for one in kept["needs"]})
    amounts = {one.lab_id: one.contributions[HISTORY] for one in after.match(need, top=99).pairings}
    liked, others = ([by for lab, by in amounts.items() if int(lab[-2:]) % 2 == odd] for odd in (1, 0))
    assert np.mean(liked) > 0 > np.mean(others)


def test_a_restored_home_ranks_as_before(own_home: Path, tmp_path: Path) -> None:
    settings = Settings(home=own_home, encoders="bundled-use")
    version = _kept(settings)
    put_in_use(settings, version, by="u-1", now=MORNING)
    made = back_up(settings)
    into = tmp_path / "restored"
    bring_back(settings, made.path, into=into)
    assert ranker_in_use(Settings(home=into)) == ranker_in_use(settings)
