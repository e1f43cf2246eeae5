"""A result, a company and a person are the same however they are written, and two that only look alike stay two."""

from __future__ import annotations

import hmac
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlmodel import Session, select

from api.trail.probing import probes
from indexer.database import reading, writing
from indexer.folding import for_keys, for_looks, for_people, for_search, for_serials
from indexer.records.importing import import_rows
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.entries import AlreadyReportedError, LedgerError
from matcher.ledger.rows.kpis import Kpi
from matcher.ledger.rows.pseudonyms import (
    KEY_FILE,
    PersonsKeyError,
    key_problem,
    make_key,
    read_key,
    register,
    same_number,
)
from matcher.ledger.rows.steps import State
from matcher.ledger.rules.recognition import check, recognise, second_recognition, tell_apart, withdraw
from matcher.ledger.rules.reporting import NewResult, checked_details, report
from matcher.ledger.rules.similarity import Similarity
from tests.rig.worlds.ledger_world import NOON, LedgerWorld, build_ledger_world, money


@pytest.fixture
def world(engine: Engine) -> LedgerWorld:
    return build_ledger_world(engine)


@pytest.mark.parametrize(
    "written",
    [
        "K1–001", "K1—001", "K1−001", "K1─001", "K1ー001", "K1_001", "k1-001", "Ｋ１－００１", " K1 - 001 ", "K1‐001",
        "\u041a1-001", "\u039a1-001", "K1\u200b-001", "K\u00ad1-001", "K1-00\u0661", "𝐊1-001", "K-1-001", "K1--001",
    ],
)  # fmt: skip
def test_one_contract_has_one_key_in_any_writing(written: str) -> None:
    assert for_keys(written) == for_keys("K1-001")


@pytest.mark.parametrize("pair", [("臺灣合約-7", "台湾合约－7"), ("鋐澤專案", "鋐泽专案"), ("Ａ級 合約", "A級合約")])
def test_one_contract_has_one_key_in_either_script(pair: tuple[str, str]) -> None:
    assert for_keys(pair[0]) == for_keys(pair[1])


@pytest.mark.parametrize(
    ("pair", "alike"),
    [
        (("1-11", "11-1"), True), (("K1-001", "K1001"), True), (("O1", "01"), True), (("Al", "A1"), True),
        (("AI", "Al"), True), (("士1", "土1"), True), (("108/1", "108-1"), True), (("K1-001", "K1-002"), False),
        (("甲1", "乙1"), False), (("A-1", "B-1"), False), (("一案", "二案"), False), (("コーヒー1", "コヒ1"), False),
    ],
)  # fmt: skip
def test_what_is_two_keeps_two_keys(pair: tuple[str, str], alike: bool) -> None:
    """What only looks alike is for a person to see, never the same by itself."""
    assert for_keys(pair[0]) != for_keys(pair[1])
    assert (for_looks(pair[0]) == for_looks(pair[1])) is alike


@pytest.mark.parametrize(
    "written",
    ["學號 B0612345", "學號:B0612345", "学号：b-0612345", "Ｂ０６１２３４５", "B06\u200b12345", "Student ID: B0612345"],
)
def test_a_student_number_is_one_in_any_writing(written: str) -> None:
    assert for_serials(written) == "b0612345"


def test_days_and_short_numbers_stay_apart() -> None:
    said = [for_serials(one) for one in ("1999-1-11", "1999/11/1", "1999年1月11日", "A001", "A002", "id7", "No. 7")]
    assert said == ["19990111", "19991101", "19990111", "a001", "a002", "id7", "7"]


def test_names_and_words_are_folded_for_their_purpose() -> None:
    people = ["Hsiang-Yun Tsou", "Tsou Hsiang-Yun", "TSOU, Hsiang-Yun", "Ｔsou Hsiang‐Yun"]
    assert {for_people(one) for one in people} == {"hsiangyun tsou"}
    assert for_people("李 四") == for_people("李四") != for_people("李五")
    assert for_search("HONGZE  Automation") == for_search("Ｈｏｎｇｚｅ automation")
    assert for_search("臺灣鋐澤") == for_search("台湾鋐泽") != for_search("台灣鋐泰")


def _reported(session: Session, world: LedgerWorld, given: NewResult, by: str = "reporter") -> State:
    return report(session, given, by=world.people[by], now=NOON)[1]


@pytest.mark.parametrize("written", ["C–108–001", "С-108-001", "ｃ108-001", "C-108-0\u200b01"])
def test_a_contract_written_otherwise_is_refused(engine: Engine, world: LedgerWorld, written: str) -> None:
    with writing(engine) as session:
        _reported(session, world, money())
    other = money("money-0002", details={"contract": written}, amount=7, shares={"al-b": 10_000})
    with pytest.raises(AlreadyReportedError, match="counted already, by al-a;"), writing(engine) as session:
        _reported(session, world, other, "other_reporter")


def _job(entry_id: str, person: str | None) -> NewResult:
    details = {"employer": "甲精密", "post": "製程工程師", "start_on": "2019-05-02", "person": person}
    plain = vars(money(entry_id, company_id=None, evidence=[]))
    return NewResult(**{**plain, "kpi": Kpi.JOBS, "amount": 1, "details": details})


def _states(session: Session, world: LedgerWorld, results: list[NewResult]) -> list[str]:
    return [_reported(session, world, one).value for one in results]


def _person(session: Session, home: Path, world: LedgerWorld, name: str, identifier: str) -> str:
    key, by = read_key(session, home), world.people["reporter"]
    return register(session, key=key, name=name, identifier=identifier, contact=None, by=by, now=NOON)


def test_what_is_distinct_is_taken(engine: Engine, world: LedgerWorld, tmp_path: Path) -> None:
    """Two schools' contract of one number, two people in one post, and another year of a person."""
    other = {"payer": "磐石重工"}
    with writing(engine) as session:
        one, two = (_person(session, tmp_path, world, *who) for who in (("某甲", "A001"), ("某乙", "A002")))
        found = _states(
            session,
            world,
            [
                money(),
                money("money-0002", school_id="sc-2", amount=3_000_000, details=other, company_id="co-2"),
                _job("job-00001", one),
                _job("job-00002", two),
            ],
        )
        assert found == ["reported"] * 4
    with pytest.raises(AlreadyReportedError), writing(engine) as session:
        _reported(session, world, _job("job-00003", one))


def test_what_may_be_one_is_held_whatever_it_is_called(engine: Engine, world: LedgerWorld, tmp_path: Path) -> None:
    proof = [{"sha256": "a" * 64, "name": "合約"}]
    rock = {"contract": "R-1", "payer": "磐石重工"}
    with writing(engine) as session:
        session.connection().execute(text("UPDATE company SET tax_id = '04595257'"))
        one = _person(session, tmp_path, world, "某甲", "B0612345")
        alias = _person(session, tmp_path, world, "Mou Chia", "學號:B0612345")
        assert (one != alias, same_number(session, one)) == (True, [alias])
        first = money(evidence=proof)
        talent = {"person": one, "programme": "AI 學程", "year": 2019}
        trained = NewResult(**{**vars(first), "id": "trained-1", "kpi": Kpi.TALENT, "amount": 1, "details": talent,
                               "company_id": None, "evidence": []})  # fmt: skip
        again = {**vars(trained), "id": "trained-2", "details": {**talent, "programme": "資料科學"}}
        known = {**vars(trained), "id": "trained-3", "details": {**talent, "person": alias, "programme": "機器人"}}
        cases = {
            "first": first,
            "the same file": money("money-0002", evidence=proof, amount=77, details=rock, company_id=None),
            "one company by its tax id": money("money-0003", details={**rock, "contract": "R-2"}, company_id="co-2"),
            "a number that looks the same": money("money-0004", details={"contract": "C-1O8-001"}, amount=55,
                                                  company_id=None),
            "another school, the same payer": money("money-0005", school_id="sc-2", amount=44, company_id=None),
            "a person": trained,
            "the person in another programme": NewResult(**again),
            "the person's number under another name": NewResult(**known),
            "a post that names nobody": _job("job-00001", None),
            "the post again": _job("job-00002", None),
            "the post with a name": _job("job-00003", one),
        }  # fmt: skip
        found = {name: _reported(session, world, given).value for name, given in cases.items()}
    taken = {"first", "a person", "a post that names nobody"}
    assert found == {name: "reported" if name in taken else "held" for name in cases}


def test_instalments_of_a_contract_share_its_file_and_are_not_held(engine: Engine, world: LedgerWorld) -> None:
    proof = [{"sha256": "a" * 64, "name": "合約"}]
    parts = [money(f"money-000{n}", evidence=proof, details={"instalment": n}) for n in (1, 2, 3)]
    with writing(engine) as session:
        assert _states(session, world, parts) == ["reported"] * 3


def test_large_money_in_small_instalments_takes_two(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        for n in (1, 2, 3):
            _reported(session, world, money(f"money-000{n}", amount=2_000_000, details={"instalment": n}))
            check(session, entry_id=f"money-000{n}", by=world.people["committee"], now=NOON)
        motion = recognise(session, entry_id="money-0001", by=world.people["office"], now=NOON)
        assert motion is not None
        second_recognition(session, motion_id=motion.id or 0, by=world.people["second_office"], now=NOON)
        # The control: another school's contract of that number is another contract.
        other = money("money-0009", school_id="sc-2", amount=900_000, details={"payer": "磐石重工"}, company_id="co-2")
        assert _reported(session, world, other) is State.REPORTED
        check(session, entry_id="money-0009", by=world.people["committee"], now=NOON)
        assert recognise(session, entry_id="money-0009", by=world.people["office"], now=NOON) is None


def test_a_member_counts_once_by_its_tax_id(engine: Engine, world: LedgerWorld) -> None:
    with writing(engine) as session:
        twins = [{"id": f"co-{n}", "name": f"同一家 {n}", "country": "TW", "tax_id": "04595257"} for n in (8, 9)]
        import_rows(session, "companies", [*twins, {"id": "co-7", "name": "另一家", "country": "TW"}])

    def member(entry_id: str, company: str, name: str) -> NewResult:
        said = {"company": company, "company_name": name, "country": "TW", "tier": "international"}
        return NewResult(**{**vars(money(entry_id, company_id=None)), "kpi": Kpi.MEMBERS, "amount": 1, "details": said})

    with writing(engine) as session:
        assert _reported(session, world, member("member-01", "co-8", "甲")) is State.REPORTED
        assert _reported(session, world, member("member-02", "co-7", "乙丙")) is State.REPORTED
    with pytest.raises(AlreadyReportedError, match="member-01"), writing(engine) as session:
        _reported(session, world, member("member-03", "co-9", "丁戊己"))


def test_one_human_has_one_pseudonym(engine: Engine, world: LedgerWorld, tmp_path: Path) -> None:
    same = [
        ("王小明", "學號 B0612345"),
        ("王 小明", "學號:B0612345"),
        ("王小明", "b0612345"),
        ("王小明", "B06\u200b12345"),
    ]
    english = [("Wang Hsiao-Ming", "20010506"), ("Hsiao-Ming Wang", "2001-05-06"), ("WANG, Hsiao-Ming", "2001/5/6")]
    with writing(engine) as session:
        assert len({_person(session, tmp_path, world, *who) for who in same}) == 1
        assert len({_person(session, tmp_path, world, *who) for who in english}) == 1
        born = _person(session, tmp_path, world, "Lin Mei", "2001-05-06")
        # A birthday is many people's: it makes nobody resemble anybody.
        assert same_number(session, born) == []


def test_an_earlier_release_s_pseudonym_is_found_again(engine: Engine, world: LedgerWorld, tmp_path: Path) -> None:
    key = make_key(tmp_path)
    digest = hmac.new(key, "王小明\n學號b0612345".encode(), sha256).hexdigest()
    row = {"p": f"p-{digest[:16]}", "d": digest, "by": world.people["reporter"], "at": "2019-01-01 00:00:00+00:00"}
    with writing(engine) as session:
        session.connection().execute(
            text(
                "INSERT INTO ledger_person (pseudonym, digest, name, registered_by, registered_at) "
                "VALUES (:p, :d, '王小明', :by, :at)"
            ),
            row,
        )
        assert _person(session, tmp_path, world, "王小明", "B0612345") == row["p"]


@pytest.mark.parametrize("done", ["lost", "empty", "short", "foreign"])
def test_another_key_is_refused_with_what_to_do(engine: Engine, world: LedgerWorld, tmp_path: Path, done: str) -> None:
    path = tmp_path / KEY_FILE
    with writing(engine) as session:
        known = _person(session, tmp_path, world, "王小明", "B0612345")
    assert (path.stat().st_mode & 0o777, list(tmp_path.glob(f".{KEY_FILE}*"))) == (0o600, [])
    right = path.read_bytes()
    if done == "lost":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "short": right[:31], "foreign": bytes(32)}[done])
    with pytest.raises(PersonsKeyError, match="backup"), writing(engine) as session:
        _person(session, tmp_path, world, "王小明", "B0612345")
    with reading(engine) as session:
        assert isinstance(key_problem(session, tmp_path), PersonsKeyError)
        assert [one.check for one in verify(session, home=tmp_path).findings] == ["persons"]
    assert path.exists() is (done != "lost")
    # The control: with the right key it is the same person again.
    path.write_bytes(right)
    with writing(engine) as session:
        assert _person(session, tmp_path, world, "王小明", "B0612345") == known
        assert key_problem(session, tmp_path) is None
        assert verify(session, home=tmp_path).findings == []


def test_true_is_no_number_within_details() -> None:
    with pytest.raises(LedgerError, match="give a number"):
        checked_details(Kpi.MONEY, {**money().details, "instalment": True})
    # The control.
    assert checked_details(Kpi.MONEY, {**money().details, "instalment": 1}).natural_key() == '["c108001",1]'


def test_probes_are_counted_by_account(engine: Engine, world: LedgerWorld, tmp_path: Path) -> None:
    asked = world.people["other_reporter"]
    with writing(engine) as session:
        _reported(session, world, money())
        for n in range(3):
            probe = money(f"probe-{n:04}", shares={"al-b": 10_000}, details={"contract": f"P{n}"}, amount=1_000_000)
            assert _reported(session, world, probe, "other_reporter") is State.HELD
            withdraw(session, entry_id=f"probe-{n:04}", reason="誤填", by=asked, now=NOON)
        # The number of somebody whom the other alliance registered under another name; then an own one's, the control.
        _person(session, tmp_path, world, "王小明", "B0612345")
        key, later = read_key(session, tmp_path), NOON + timedelta(hours=1)
        for name, number in (("王大明", "B0612345"), ("李小華", "B0612346"), ("李大華", "B0612346")):
            register(session, key=key, name=name, identifier=number, contact=None, by=asked, now=later)
        # The controls: what resembles one's own alliance's entry is no probe, nor is what resembles nothing.
        _reported(session, world, money("money-0002", details={"contract": "Q-1"}))
        (found,) = probes(session, NOON)
        counted = (found.account_id, found.held, found.withdrawn, found.refused, found.people, found.alliances)
        assert counted == (asked, 3, 3, 0, 1, {"al-a"})
        tell_apart(session, entry_id="money-0002", reason="兩份合約", by=world.people["office"], now=NOON)
        assert len(session.exec(select(Similarity)).all()) >= 4
        assert date(2019, 5, 15) == found.last_at.date()
