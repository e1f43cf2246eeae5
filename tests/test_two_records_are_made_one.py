"""Two records become one: what refers to either refers to the one that is kept, and undoing leaves no trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlmodel import Session, SQLModel

from api import tables  # noqa: F401 (all tables are compared)
from indexer.database import reading, writing
from indexer.records.importing import import_rows
from indexer.records.mended.schools import LabSchool, SchoolName
from indexer.records.record_tables import load_labs
from indexer.settings import Settings
from indexer.vocabulary import Mendable
from matcher.handouts.shortlists import Shortlist, ShortlistedLab
from matcher.ledger.proving.verification import verify
from matcher.ledger.rows.entries import Entry
from matcher.ledger.rules.duties import Act, Bar, bar_on, barred_second
from matcher.mending.merging import merge, plan, undo_merge
from matcher.mending.references import REFERENCES, Way
from matcher.mending.retiring import MendingError
from matcher.review.cases import Contact
from matcher.review.clients import ClientRequest, take_on
from matcher.review.conversation.lab_questions import ask_lab
from matcher.review.intake import begin_draft
from matcher.review.joint.kept_chains import keep_chain
from matcher.review.joint.visits import plan_visit
from matcher.review.own_lab.researchers import claim, edit_profile
from matcher.review.people import PeopleError, declare_stake, grant, principal, set_disabled, tied_to
from matcher.review.proposals import PairingState, StoredPairing, release
from matcher.review.roles import Role
from tests.conftest import Gloria
from tests.rig.worlds.small_world import Asked, accept, asked, draw_everything, store_proposal

NOW = datetime(2026, 11, 30, 4, 0, tzinfo=UTC)
LABS = {"kind": Mendable.LAB, "gone_id": "lab-1", "kept_id": "lab-9"}
COMPANIES = {"kind": Mendable.COMPANY, "gone_id": "co-1", "kept_id": "co-9"}
SCHOOLS = {"kind": Mendable.SCHOOL, "gone_id": "nu", "kept_id": "nu-9"}
_NOT_COMPARED = ("change", "change_counter", "record_merge", "merge_change", "alembic_version")
"""The feed of changes, and that there was a merging, stay."""


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    """A world in which something of every sort refers to `lab-1`, `co-1` and `nu`."""
    with asked(settings) as made:
        with writing(made.engine) as session:
            _fill(session, made)
        draw_everything(settings)
        yield made


def _fill(session: Session, made: Asked) -> None:
    people = made.world.people
    schools: list[dict[str, Any]] = [
        {"id": "nu", "name": "北方大學", "ror": "https://ror.org/05bqach95"},
        {"id": "nu-9", "name": "北方大學(新)"},
        {"id": "old", "name": "舊學院", "merged_into": "nu"},
    ]
    import_rows(session, "schools", schools)
    import_rows(session, "companies", [{"id": "co-9", "name": "甲股份有限公司"}])
    evidence = [
        {"id": "e1", "title": "化學機械拋光液之研磨粒", "year": 2020},
        {"id": "e2", "title": "自己的論文與專利"},
    ]
    labs: list[dict[str, Any]] = [
        {"id": "lab-1", "school": "nu", "conflicts": ["co-1", "別家"], "evidence": evidence, "orcid": None},
        {
            "id": "lab-9",
            "name": "一號實驗室(舊)",
            "evidence": [
                {"id": "x", "title": "化學機械拋光液之研磨粒。", "year": 2020},
                {"id": "e2", "title": "另一篇全然不同的"},
            ],
        },
        {"id": "lab-3", "name": "三號", "conflicts": ["甲公司"]},
    ]
    import_rows(session, "labs", labs)
    needs: list[dict[str, Any]] = [
        {"id": "n-1", "school": "nu", "excluded_labs": ["一號實驗室", "lab-2"]},
        {"id": "n-2", "company": "co-9", "title": "另一項需求", "excluded_labs": ["lab-1"]},
    ]
    import_rows(session, "needs", needs)
    alliance = {"id": "al-a", "center": "nu", "partners": [{"school": "nu"}, {"school": "old"}]}
    import_rows(session, "alliances", [alliance])
    accept(session, made.world)
    session.add(LabSchool(lab_id="lab-1", until=date(2020, 8, 1), school="nu"))
    session.add(SchoolName(school_id="nu", until=date(2020, 8, 1), name="北方學院", name_en=""))
    pairing = session.get(StoredPairing, made.world.pairing_id)
    assert pairing is not None
    release(session, pairing=pairing, by=people["expert"], now=NOW)
    store_proposal(session, people["expert"], "lab-9")
    put = {"alliance_id": "al-a", "words": "", "names_need": False, "made_by": people["expert"]}
    shortlist = Shortlist(need_id="n-1", made_at=NOW, changed_at=NOW, **put)
    session.add(shortlist)
    session.flush()
    chosen = {"shortlist_id": shortlist.id, "position": 1, "proposal_id": made.world.proposal_id}
    session.add(ShortlistedLab(lab_id="lab-1", **chosen))
    claim(session, account_id=people["stranger"], lab_id="lab-1", statement="我是主持人", now=NOW)
    pairing = session.get_one(StoredPairing, made.world.pairing_id)
    asking = {"ask": 1, "words": ["拋光"], "text": "請問", "alliance_id": "al-a", "reader": None}
    ask_lab(session, pairing=pairing, by=people["expert"], now=NOW, **asking)  # type: ignore[arg-type]
    edit_profile(session, lab_id="lab-1", changes={"summary": "碳化矽"}, by=people["researcher"], now=NOW)
    for party, party_id in (("lab", "lab-1"), ("company", "co-1")):
        declare_stake(session, account_id=people["colleague"], party=party, party_id=party_id, now=NOW)
    begin_draft(session, company_id="co-1", by=people["company"], now=NOW)
    contact = {"case_id": None, "company_id": "co-1", "alliance_id": "al-a", "kind": "call", "held_on": NOW.date()}
    session.add(Contact(**contact, note="", next_step="", next_on=None, by=people["expert"], at=NOW))
    by: dict[str, Any] = {"alliance_id": "al-a", "by": people["expert"], "now": NOW}
    keep_chain(session, need_id="n-1", lab_id="lab-1", companies=["co-1"], **by)
    rest: dict[str, Any] = {"place": "", "answers": [], "team": [], "agenda": []}
    plan_visit(session, company_id="co-1", held_on=NOW.date(), **rest, **by)
    asks = {"company_id": "co-1", "alliance_id": "al-b", "expert_id": people["stranger"], "reason": ""}
    session.add(ClientRequest(**asks, asked_by=people["stranger"], asked_at=NOW))
    take_on(session, company_id="co-9", alliance_id="al-b", expert_id=None, now=NOW)
    session.flush()


def _dump(session: Session) -> dict[str, list[str]]:
    connection = session.connection()
    return {
        table.name: sorted(repr(tuple(row)) for row in connection.execute(select(table)))
        for table in SQLModel.metadata.sorted_tables
        if table.name not in _NOT_COMPARED
    }


_NAMES = {
    "lab": ("lab_id", "excluded_labs"),
    "company": ("company_id", "company", "conflicts"),
    "school": ("school_id", "school", "center", "merged_into"),
    "person": (),
}
"""What columns are called that name a record without a foreign key."""
_TABLES = {Mendable.PERSON: "account"}
_BY_KIND = {("role_grant", "scope_id"), ("stake", "party_id")}


@pytest.mark.parametrize("kind", [Mendable.LAB, Mendable.COMPANY, Mendable.SCHOOL, Mendable.PERSON])
def test_every_reference_of_the_schema_is_in_the_list(kind: Mendable) -> None:
    found = set()
    for table in SQLModel.metadata.sorted_tables:
        for column in table.columns:
            refers = any(key.column.table.name == _TABLES.get(kind, kind.value) for key in column.foreign_keys)
            if refers or column.name in _NAMES[kind.value]:
                found.add((table.name, column.name))
    # A role and an interest are held in one of several kinds of records.
    found |= _BY_KIND if kind in (Mendable.LAB, Mendable.COMPANY) else set()
    assert found == {one.place for one in REFERENCES[kind]}


@pytest.mark.parametrize("two", [LABS, COMPANIES, SCHOOLS], ids=lambda two: two["kind"].value)
def test_all_that_refers_to_either_and_back(here: Asked, two: dict[str, Any]) -> None:
    kind, gone, kept = two["kind"], two["gone_id"], two["kept_id"]
    with reading(here.engine) as session:
        before = _dump(session)
        planned = plan(session, **two)
        counted = {one.place: _count(session, one, gone) for one in REFERENCES[kind] if one.way is not Way.LISTED}
    assert {place for place, rows in counted.items() if rows == 0} <= _NOT_IN_THIS_WORLD
    exported = _exported(here)
    with writing(here.engine) as session:
        row = merge(session, **two, reason="同一個", by=here.accounts["office"], now=NOW)
        merge_id = row.id or 0
    with reading(here.engine) as session:
        for one in REFERENCES[kind]:
            if one.way is Way.LISTED:
                continue
            left = _count(session, one, gone)
            if one.way is Way.MOVES:
                assert (one.place, left) == (one.place, _STAYS.get((kind, one.place), 0))
            else:
                assert (one.place, left) == (one.place, counted[one.place])
        assert list(verify(session).findings) == []
        after = _dump(session)
    assert sum(rows for _, rows in planned.moved) > 0
    assert after != before
    if kind is Mendable.LAB:
        _labs_are_one(here)
    if kind is Mendable.COMPANY:
        _companies_are_one(here)
    # The old id leads on, by whatever door.
    if kind is not Mendable.SCHOOL:
        plural = {"lab": "labs", "company": "companies"}[kind.value]
        led = here.ask("expert", "GET", f"/api/{plural}/{gone}", follow_redirects=False)
        assert (led.status_code, led.headers["Location"]) == (308, f"/api/{plural}/{kept}")
    with writing(here.engine) as session:
        undo_merge(session, merge_id=merge_id, by=here.accounts["office"], now=NOW + timedelta(days=29))
    with reading(here.engine) as session:
        assert _without_acts(_dump(session)) == _without_acts(before)
        assert list(verify(session).findings) == []
    assert _exported(here) == exported


_NOT_IN_THIS_WORLD = {
    ("judged_pair", "lab_id"),
    ("ledger_entry", "company_id"),
    ("ledger_entry", "school_id"),
    ("school_total", "school_id"),
}
"""What is never rewritten, and would need a ledger or judges to be there."""
_STAYS = {
    # The paper that the kept lab has already; the piece of the same id goes with a new one.
    (Mendable.LAB, ("evidence", "lab_id")): 1,
    # The pairing that was only proposed: of two with one need, the accepted one is the kept lab's.
    (Mendable.LAB, ("pairing", "lab_id")): 1,
}


def _without_acts(dump: dict[str, list[str]]) -> dict[str, list[str]]:
    """What the requests of this test leave of themselves."""
    acts = ("audit", "audit_subject", "idempotent_reply", "login_session", "ledger_head", "ledger_link", "api_key")
    return {name: rows for name, rows in dump.items() if name not in acts}


def _count(session: Session, one: Any, record_id: str) -> int:
    table, column = one.at()
    query = select(table).where(column == record_id)
    if one.only is not None:
        query = query.where(table.c[one.only[0]] == one.only[1])
    return len(session.connection().execute(query).all())


def _exported(here: Asked) -> dict[str, str]:
    asked = {"labs": "office", "needs": "expert", "companies": "office", "pairings": "expert", "cases": "expert"}
    return {kind: here.ask(who, "GET", f"/api/exports/{kind}").text for kind, who in asked.items()}


def _labs_are_one(here: Asked) -> None:
    with reading(here.engine) as session:
        (lab,) = [one for one in load_labs(session) if one.id == "lab-9"]
        assert "lab-1" not in {one.id for one in load_labs(session)}
        assert [piece.id for piece in lab.evidence] == ["x", "e2", "e2#lab-1"]
        assert lab.conflicts == ("co-1", "別家")
        assert lab.school == "nu"
        excluded = session.execute(text("SELECT id, excluded_labs FROM need ORDER BY id")).all()
        said = [json.loads(one) if isinstance(one, str) else one for _, one in excluded]
        assert said == [["一號實驗室", "lab-2", "lab-9"], ["lab-9"]]
        pairing = session.get(StoredPairing, here.world.pairing_id)
        assert pairing is not None
        assert (pairing.lab_id, pairing.state) == ("lab-9", PairingState.ACCEPTED.value)
        researcher = principal(session, here.accounts["researcher"])
        colleague = principal(session, here.accounts["colleague"])
        assert researcher is not None
        assert colleague is not None
        assert researcher.scopes(Role.RESEARCHER) == {"lab-9"}
        assert {party_id for party, party_id in colleague.stakes if party == "lab"} == {"lab-1", "lab-9"}
    assert here.done("researcher", "GET", "/api/labs/lab-9")["id"] == "lab-9"


def _companies_are_one(here: Asked) -> None:
    needs = here.done("company", "GET", "/api/needs")["items"]
    assert [(one["id"], one["company"]) for one in needs] == [("n-1", "co-9"), ("n-2", "co-9")]
    people = here.done("office", "GET", "/api/companies/co-9")["contact_persons"]
    assert [one["id"] for one in people] == [here.accounts["company"]]
    with reading(here.engine) as session:
        (lab,) = load_labs(session, ["lab-3"])
        assert lab.conflicts == ("甲公司",)
        (lab,) = load_labs(session, ["lab-1"])
        assert lab.conflicts == ("co-9", "別家")


def test_an_import_of_the_old_id_goes_to_the_kept_one(here: Asked) -> None:
    with writing(here.engine) as session:
        merge(session, **LABS, reason="同一個", by=None, now=NOW)
        new = [{"id": "n-3", "title": "第三篇論文的題目", "year": 2026}]
        report = import_rows(session, "labs", [{"id": "lab-1", "summary": "新的說明", "evidence": new}])
        assert (report.created, report.updated_ids) == (0, ("lab-9",))
        assert [problem.wrong for problem in report.problems] == [
            '"lab-1" was merged into "lab-9": the row is taken for that one'
        ]
        need = import_rows(session, "needs", [{"id": "n-5", "title": "新需求", "excluded_labs": ["lab-1"]}])
        assert need.problems == []
    with reading(here.engine) as session:
        (lab,) = load_labs(session, ["lab-9"])
        assert lab.summary == "新的說明"
        assert [piece.id for piece in lab.evidence] == ["x", "e2", "e2#lab-1", "n-3"]
        said = session.execute(text("SELECT excluded_labs FROM need WHERE id = 'n-5'")).scalar()
        assert (json.loads(said) if isinstance(said, str) else said) == ["lab-9"]


def test_merged_on_and_on(here: Asked) -> None:
    with writing(here.engine) as session:
        first = merge(session, **LABS, reason="一", by=None, now=NOW).id or 0
        merge(session, kind=Mendable.LAB, gone_id="lab-9", kept_id="lab-3", reason="二", by=None, now=NOW)
        researcher = principal(session, here.accounts["researcher"])
        assert researcher is not None
        assert researcher.scopes(Role.RESEARCHER) == {"lab-3"}
        with pytest.raises(MendingError, match="changed since"):
            undo_merge(session, merge_id=first, by=None, now=NOW)
    led = here.ask("expert", "GET", "/api/labs/lab-1", follow_redirects=False)
    assert led.headers["Location"] == "/api/labs/lab-3"


def test_what_cannot_be_merged_or_taken_back(here: Asked) -> None:
    def refused(**said: Any) -> str:
        with writing(here.engine) as session, pytest.raises(MendingError) as error:
            merge(session, **(LABS | {"reason": "r", "by": None, "now": NOW} | said))
        return str(error.value)

    assert "one record already" in refused(kept_id="lab-1")
    assert "there is no lab none" in refused(kept_id="none")
    assert "say why" in refused(reason=" ")
    assert "only labs, companies, schools and people" in refused(kind=Mendable.NEED, gone_id="n-1", kept_id="n-2")
    with writing(here.engine) as session:
        merge_id = merge(session, **LABS, reason="r", by=None, now=NOW).id or 0
    assert "was merged into lab-9 already" in refused(kept_id="lab-3")
    with writing(here.engine) as session, pytest.raises(MendingError, match="thirty days are over"):
        undo_merge(session, merge_id=merge_id, by=None, now=NOW + timedelta(days=30, seconds=1))
    with writing(here.engine) as session:
        import_rows(session, "labs", [{"id": "lab-9", "conflicts": ["誰"]}])
    with writing(here.engine) as session, pytest.raises(MendingError, match=r"was changed since: labs \(1\);"):
        undo_merge(session, merge_id=merge_id, by=None, now=NOW)
    for who in ("expert", "lead", "researcher"):
        path = "/api/labs/lab-2/merge"
        assert here.ask(who, "POST", path, json={"kept": "lab-3", "reason": "r"}).status_code == 403


def test_two_accounts_of_a_person_are_one_and_two_again(here: Asked) -> None:
    gone, kept = here.accounts["expert"], here.accounts["colleague"]
    two: dict[str, Any] = {"kind": Mendable.PERSON, "gone_id": gone, "kept_id": kept}
    with writing(here.engine) as session:
        declare_stake(session, account_id=gone, party="lab", party_id="lab-3", now=NOW)
        # The kept account has a role less, which nothing but a person gives it.
        grant(session, account_id=gone, role=Role.LEAD, scope_id="al-b", by=None, now=NOW)
    with reading(here.engine) as session:
        before = _dump(session)
        planned = plan(session, **two)
        assert [str(one) for one in planned.warnings] == [
            "1 roles that only the account that goes holds do not move; give them anew"
        ]
        moved = {one.place: _count(session, one, gone) for one in REFERENCES[Mendable.PERSON] if one.way is Way.MOVES}
        written = {one.place: _count(session, one, gone) for one in REFERENCES[Mendable.PERSON] if one.way is Way.ALIAS}
        assert moved[("client", "expert_id")] == moved[("case_file", "owner_id")] == 1
        assert written[("decision", "by")] == written[("stake", "account_id")] == 1
        assert barred_second(gone, kept, tied_to(session, kept)) is None
    with writing(here.engine) as session:
        merge_id = merge(session, **two, reason="同一人", by=here.accounts["office"], now=NOW).id or 0
    with reading(here.engine) as session:
        left = {one.place: _count(session, one, gone) for one in REFERENCES[Mendable.PERSON] if one.way is Way.MOVES}
        assert set(left.values()) == {0}
        for one in REFERENCES[Mendable.PERSON]:
            if one.way is Way.ALIAS:
                assert _count(session, one, gone) == written[one.place]
        assert principal(session, gone) is None
        who = principal(session, kept)
        assert who is not None
        # Interests bind whoever declared them under either account; roles do not move.
        assert ("lab", "lab-3") in who.stakes
        assert who.grants == {(Role.EXPERT, "al-a")}
        # What one account moved the other can't second, and both are as close to whom either made.
        assert barred_second(gone, kept, tied_to(session, kept)) is Bar.TIED
        assert barred_second(gone, here.accounts["lead"], tied_to(session, here.accounts["lead"])) is None
        assert list(verify(session).findings) == []
    with writing(here.engine) as session, pytest.raises(PeopleError, match="it was merged into"):
        set_disabled(session, account_id=gone, disabled=False, now=NOW)
    with writing(here.engine) as session:
        undo_merge(session, merge_id=merge_id, by=here.accounts["office"], now=NOW + timedelta(days=29))
    with reading(here.engine) as session:
        assert _without_acts(_dump(session)) == _without_acts(before)
        assert tied_to(session, kept) == frozenset()


def test_who_decided_under_one_account_has_no_word_under_the_other(here: Asked) -> None:
    gone, kept = here.accounts["stranger"], here.accounts["newcomer"]
    entry = Entry(id="e-1", reporter=gone, kind="fact", company_id="co-2", shares={"al-b": 10_000}, reported_at=NOW)
    with writing(here.engine) as session:
        assert bar_on(session, entry, kept, Act.CHECK) is None
        merge(session, kind=Mendable.PERSON, gone_id=gone, kept_id=kept, reason="同一人", by=None, now=NOW)
        # Tied to who reported; and an expert of an alliance with a share, under the other account.
        assert bar_on(session, entry, kept, Act.CHECK) is Bar.ALLIANCE
        session.rollback()


def test_accounts_are_merged_over_http(here: Asked) -> None:
    gone, kept = here.accounts["expert"], here.accounts["colleague"]
    path = f"/api/accounts/{gone}/merge"
    assert here.done("office", "GET", path, params={"kept": kept})["moves"][0] == {
        "what": "companies looked after",
        "rows": 1,
    }
    for who in ("expert", "lead", "company"):
        assert here.ask(who, "POST", path, json={"kept": kept, "reason": "r"}).status_code == 403
    own = f"/api/accounts/{here.accounts['office']}/merge"
    assert here.ask("office", "POST", own, json={"kept": kept, "reason": "r"}).status_code == 409
    row = here.done("office", "POST", path, json={"kept": kept, "reason": "同一人"})
    assert here.ask("expert", "GET", "/api/me").status_code == 401
    again = here.ask("office", "PATCH", f"/api/accounts/{gone}", json={"disabled": False}, headers={"If-Match": "*"})
    assert (again.status_code, "merged into" in again.json()["detail"]) == (422, True)
    (found,) = here.done("office", "GET", "/api/merges")["items"]
    assert (found["kind"], found["gone_id"], found["kept_id"]) == ("person", gone, kept)
    here.done("office", "POST", f"/api/merges/{row['id']}/undo")
    # No key comes back, but the account may sign in.
    assert here.ask("expert", "GET", "/api/me").status_code == 401
    assert here.done("office", "GET", f"/api/accounts/{gone}")["disabled"] is False
    trail = here.done("office", "GET", "/api/audit", params={"kind": "account", "subject": gone})["items"]
    assert {one["operation"] for one in trail} >= {"merge_person", "undo_merging"}


def test_whoever_acts_for_the_old_company_acts_for_the_kept_one(here: Asked) -> None:
    with writing(here.engine) as session:
        grant(session, account_id=here.accounts["newcomer"], role=Role.COMPANY, scope_id="co-9", by=None, now=NOW)
        merge(session, **COMPANIES, reason="同一個", by=None, now=NOW)
        for name in ("company", "newcomer"):
            who = principal(session, here.accounts[name])
            assert who is not None
            assert who.scopes(Role.COMPANY) == {"co-9"}


def test_by_command(gloria: Gloria, tmp_path: Path) -> None:
    rows = [{"id": "lab-1", "name": "一號"}, {"id": "lab-2", "name": "一號(重複)", "summary": "碳化矽"}]
    (tmp_path / "labs.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")

    def run(*arguments: str, code: int = 0) -> str:
        answer = gloria(*arguments, home=tmp_path / "home", lang="en")
        assert answer.code == code, answer.err
        return answer.out if code == 0 else answer.err

    run("import", str(tmp_path / "labs.jsonl"))
    assert "nothing is changed yet" in run("merge", "lab", "lab-2", "lab-1")
    assert "lab-2 is merged into lab-1" in run("merge", "lab", "lab-2", "lab-1", "--reason", "stored twice")
    (row,) = json.loads(run("merge", "--json"))["items"]
    run("export", "labs", "--out", str(tmp_path / "one.jsonl"))
    (lab,) = [json.loads(line) for line in (tmp_path / "one.jsonl").read_text().splitlines()]
    assert (lab["id"], lab["summary"]) == ("lab-1", "碳化矽")
    assert run("merge", "--undo", str(row["id"])) == "lab-2 and lab-1 are two again\n"
    run("export", "labs", "--out", str(tmp_path / "two.jsonl"))
    assert [json.loads(line)["id"] for line in (tmp_path / "two.jsonl").read_text().splitlines()] == ["lab-1", "lab-2"]
