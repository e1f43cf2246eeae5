"""Companies over HTTP: the portfolio with what is open, hand-overs with their dates, shares that end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from api.pages.shell.templating import tel_of
from api.requests.capacity import WRITING
from api.routes.companies import set_company_contact
from indexer.database import reading, writing
from indexer.records.import_log import ImportChange, WrittenRow, begin_batch, note_written
from indexer.records.importing import import_file, import_rows
from indexer.records.record_tables import Company, contact_of
from indexer.settings import Settings
from matcher.erasure import ErasedKind, erase
from matcher.notices.readers import MailAddress
from matcher.review.clients import Client
from matcher.review.people import Account, grant
from matcher.review.roles import Role
from tests.rig.worlds.small_world import MORNING, Asked, asked

pytestmark = pytest.mark.postgresql_at_length


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        yield made


def _listed(here: Asked, who: str) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in here.done(who, "GET", "/api/companies")["items"]}


def _hand(here: Asked, who: str, company_id: str = "co-1", **body: str) -> Any:
    return here.ask(who, "PUT", f"/api/companies/{company_id}/client", json=body)


def test_everybody_sees_their_own_and_what_is_theirs(here: Asked) -> None:
    contact = {"kind": "call", "held_on": "2026-11-20"}
    here.done("expert", "POST", "/api/companies/co-1/contacts", json=contact)
    word = {"verdict": "accept", "proposal_id": here.world.proposal_id}
    here.done("expert", "POST", f"/api/pairings/{here.world.pairing_id}/decision", json=word)
    shown = _listed(here, "expert")
    assert list(shown) == ["co-1"]
    assert (shown["co-1"]["open_needs"], shown["co-1"]["open_cases"]) == (1, 1)
    assert shown["co-1"]["last_contact"] == "2026-11-20"
    (client,) = shown["co-1"]["clients"]
    assert (client["alliance"], client["expert"]) == ("al-a", {"id": here.accounts["expert"], "name": "expert"})
    assert _listed(here, "stranger") == {}
    assert list(_listed(here, "office")) == ["co-1", "co-2"]
    own = _listed(here, "company")["co-1"]
    # A company is not told of pairings that nobody has shown to it, nor who in the alliance does what.
    assert (own["open_needs"], own["clients"]) == (1, [])
    assert set(own) & {"open_cases", "last_contact"} == set()
    persons = [
        {
            "id": here.accounts["company"],
            "name": "company",
            "email": "company@example.org",
            "mail_comes_back": False,
            "phone": "",
        }
    ]
    for who in ("expert", "lead", "office"):
        assert here.done(who, "GET", "/api/companies/co-1")["contact_persons"] == persons
    assert "contact_persons" not in here.done("company", "GET", "/api/companies/co-1")
    with writing(here.engine) as session:
        session.add(MailAddress(address="company@example.org", refused_at=MORNING, said="550 no such mailbox"))
    (person,) = here.done("expert", "GET", "/api/companies/co-1")["contact_persons"]
    assert person["mail_comes_back"] is True
    others = {
        who: here.ask(who, "GET", "/api/companies/co-1").status_code for who in ("stranger", "rival", "committee")
    }
    assert others == {"stranger": 404, "rival": 404, "committee": 403}
    # With a declared interest the pairings are no longer counted.
    here.done("lead", "POST", "/api/me/stakes", json={"party": "lab", "party_id": "lab-1"})
    assert (_listed(here, "lead")["co-1"]["open_cases"], _listed(here, "expert")["co-1"]["open_cases"]) == (0, 1)


CONTACT = {"contact": "林若川 經理", "contact_email": "Lin@factory.example", "contact_phone": "049-234-5678 分機 12"}
KEPT = CONTACT | {"contact_phone": "049-234-5678 #12"}


def _contact(here: Asked, who: str) -> dict[str, str]:
    company = here.done(who, "GET", "/api/companies/co-1")
    return {name: company[name] for name in CONTACT if name in company}


def test_whom_to_reach_is_for_who_looks_after_it(here: Asked) -> None:
    path, out = "/api/companies/co-1/contact", "/api/exports/companies?format=jsonl"
    assert _contact(here, "expert") == dict.fromkeys(CONTACT, "")
    here.done("expert", "PUT", path, json=CONTACT)
    assert {who: _contact(here, who) for who in ("expert", "lead", "office")} == dict.fromkeys(
        ("expert", "lead", "office"), KEPT
    )
    assert _contact(here, "company") == {}
    assert tel_of(KEPT["contact_phone"]) == "tel:0492345678;ext=12"
    for who, status in (("company", 403), ("office", 403), ("stranger", 404)):
        assert here.ask(who, "PUT", path, json=CONTACT).status_code == status
    for name, wrong in (("contact_email", "nobody"), ("contact_phone", "call me"), ("contact_phone", "=1+1")):
        refused = here.ask("expert", "PUT", path, json={**CONTACT, name: wrong})
        assert (refused.status_code, refused.json()["field"]) == (422, name)
    exported = {who: here.ask(who, "GET", out).text for who in ("expert", "office", "stranger", "company")}
    assert {who for who, text in exported.items() if KEPT["contact_phone"] in text} == {"expert", "office"}
    # One's own number, for whom one works with.
    here.done("company", "PUT", "/api/me/phone", json={"phone": "０３-５７１-１２３４"})
    assert here.ask("company", "PUT", "/api/me/phone", json={"phone": "none"}).json()["field"] == "phone"
    (person,) = here.done("expert", "GET", "/api/companies/co-1")["contact_persons"]
    assert (person["phone"], here.done("company", "GET", "/api/me")["phone"]) == ("03-571-1234", "03-571-1234")
    # Erased, a person is nobody's contact any more.
    here.done("expert", "PUT", path, json={**CONTACT, "contact_email": "company@example.org"})
    with writing(here.engine) as session:
        why, now = "on request", MORNING
        erase(session, kind=ErasedKind.ACCOUNT, subject=here.accounts["company"], reason=why, by="office", now=now)
    assert _contact(here, "expert") == dict.fromkeys(CONTACT, "")
    with reading(here.engine) as session:
        assert session.get_one(Account, here.accounts["company"]).phone == ""


def test_a_list_brings_whom_to_reach(settings: Settings, tmp_path: Path) -> None:
    rows = {"公司名稱": "甲公司", "統編": "00000016", "聯絡人": "林若川"}
    rows |= {"分機": "12", "電子信箱": "lin@factory.example", "電話": "049-2345678"}
    path = tmp_path / "companies.csv"
    path.write_text(",".join(rows) + "\n" + ",".join(rows.values()) + "\n", encoding="utf-8")
    with asked(settings) as here, writing(here.engine) as session:
        import_file(session, path)
        (company,) = session.exec(select(Company).where(Company.tax_id == "00000016")).all()
        assert contact_of(company) == {
            "contact": "林若川",
            "contact_email": "lin@factory.example",
            "contact_phone": "049-2345678 #12",
        }
        # A later list names somebody else, who is set right by hand: then no import remembers whom it wrote over.
        begin_batch(session, "later", "later.csv", MORNING)
        was = {"id": company.id, "name": "甲公司", **contact_of(company)}
        note_written(session, "later", [WrittenRow("company", (company.id,), was, was)])
        note_written(session, "later", [WrittenRow("company", ("co-1",), was | {"id": "co-1"}, was)])
        set_company_contact(session, company, CONTACT)
        noted = {one.row_key[0]: one.before for one in session.exec(select(ImportChange)).all() if one.before}
        assert noted[company.id] == was | dict.fromkeys(CONTACT, "")
        assert noted["co-1"] == was | {"id": "co-1"}


def test_a_company_goes_from_hand_to_hand(here: Asked) -> None:
    assert _hand(here, "expert", "co-2").status_code == 200
    assert list(_listed(here, "expert")) == ["co-1", "co-2"]
    handed = _hand(here, "lead", expert=here.accounts["colleague"]).json()
    assert [one["expert"]["name"] for one in handed["clients"]] == ["colleague"]
    assert _hand(here, "lead", expert=here.accounts["colleague"]).json() == handed
    for body in ({"expert": here.accounts["stranger"]}, {"expert": "nobody"}, {"expert": here.accounts["company"]}):
        answer = _hand(here, "lead", **body)
        assert (answer.status_code, answer.json()["field"]) == (409, "expert")
    assert _hand(here, "lead", alliance="al-b").json()["field"] == "alliance"
    assert _hand(here, "lead", "none").status_code == 404
    assert _hand(here, "office").status_code == 403
    # Two alliances may look after one company, if the first or the company agrees; each sees its own.
    asked = _hand(here, "stranger")
    assert (asked.status_code, [one["alliance"] for one in _listed(here, "office")["co-1"]["clients"]]) == (
        202,
        ["al-a"],
    )
    here.done("lead", "POST", f"/api/company-requests/{asked.json()['id']}/answer", json={"agreed": True})
    assert [one["alliance"] for one in _listed(here, "stranger")["co-1"]["clients"]] == ["al-b"]
    assert [one["alliance"] for one in _listed(here, "office")["co-1"]["clients"]] == ["al-a", "al-b"]
    assert here.ask("colleague", "DELETE", "/api/companies/co-1/client").status_code == 204
    assert here.ask("colleague", "DELETE", "/api/companies/co-1/client").status_code == 404
    assert list(_listed(here, "expert")) == ["co-2"]
    with reading(here.engine) as session:
        rows = session.exec(select(Client).where(Client.company_id == "co-1").order_by(col(Client.id))).all()
    names = {account_id: name for name, account_id in here.accounts.items()}
    told = [(row.alliance_id, names[row.expert_id or ""], names.get(row.ended_by or "")) for row in rows]
    assert told == [("al-a", "expert", "lead"), ("al-a", "colleague", "colleague"), ("al-b", "stranger", None)]


@pytest.mark.postgresql_too
@pytest.mark.parametrize(
    "words", ["鋐泽", "台灣鋐澤", "臺湾鋐泽", "Ｈｏｎｇｚｅ", "hongze  automation", "自动化", "岭風"]
)
def test_words_are_folded_as_the_index_folds_them(here: Asked, words: str) -> None:
    said = {"name": "臺灣鋐澤自動化股份有限公司", "name_en": "Hongze Automation", "description": "嶺風電力的供應商"}
    with writing(here.engine) as session:
        import_rows(session, "companies", [{"id": "co-x", **said}])
        import_rows(session, "needs", [{"id": "n-x", "title": said["name"], "company": "co-1"}])
    found = here.done("office", "GET", "/api/companies", params={"q": words})["items"]
    assert [one["id"] for one in found] == ["co-x"]
    names = here.done("stranger", "GET", "/api/company-names", params={"q": words})["items"]
    assert [one["id"] for one in names] == ([] if words == "岭風" else ["co-x"])
    # The control.
    assert here.done("office", "GET", "/api/companies", params={"q": f"{words}甲"})["items"] == []


def _requests(here: Asked, who: str, **params: Any) -> list[tuple[str, str, bool, bool]]:
    found = here.done(who, "GET", "/api/company-requests", params=params)["items"]
    return [(one["company"], one["alliance"], one["may_answer"], one["may_take_back"]) for one in found]


def test_another_alliances_company_is_asked_for(here: Asked) -> None:
    asked = _hand(here, "stranger", reason="共同輔導").json()
    again = _hand(here, "stranger").json()
    assert (again["id"], again["reason"]) == (asked["id"], "共同輔導")
    path = f"/api/company-requests/{asked['id']}"
    # Until somebody agrees there is nothing to see, to bring in or to write to.
    assert here.ask("stranger", "GET", "/api/companies/co-1").status_code == 404
    assert here.ask("stranger", "DELETE", "/api/companies/co-1/client").status_code == 404
    seen = {who: _requests(here, who) for who in ("stranger", "expert", "lead", "company", "office", "rival")}
    row = ("co-1", "al-b")
    asker, answerer = [(*row, False, True)], [(*row, True, False)]
    assert seen == {
        "stranger": asker, "expert": answerer, "lead": answerer, "company": answerer, "office": [(*row, False, False)],
        "rival": [],
    }  # fmt: skip
    yes = {"json": {"agreed": True}}
    refused = {
        who: here.ask(who, "POST", f"{path}/answer", **yes).status_code for who in ("stranger", "rival", "office")
    }
    assert refused == {"stranger": 404, "rival": 404, "office": 403}
    assert here.ask("expert", "DELETE", path).status_code == 404
    # It can be taken back until it is answered, and asked again.
    assert here.ask("stranger", "DELETE", path).status_code == 204
    assert here.ask("company", "POST", f"{path}/answer", **yes).status_code == 409
    second = _hand(here, "stranger").json()["id"]
    said = here.done(
        "expert", "POST", f"/api/company-requests/{second}/answer", json={"agreed": False, "note": "已有專人"}
    )
    assert (said["answer"], said["note"], _requests(here, "stranger")) == ("refused", "已有專人", [])
    third = _hand(here, "stranger").json()["id"]
    here.done("company", "POST", f"/api/company-requests/{third}/answer", **yes)
    assert here.ask("stranger", "DELETE", f"/api/company-requests/{third}").status_code == 409
    assert here.ask("stranger", "GET", "/api/companies/co-1").status_code == 200
    assert len(_requests(here, "stranger", waiting=False)) == 3


def test_whoever_works_for_both_does_not_agree_with_themselves(here: Asked) -> None:
    with writing(here.engine) as session:
        grant(session, account_id=here.accounts["expert"], role=Role.EXPERT, scope_id="al-b", by=None, now=MORNING)
    made = _hand(here, "expert", alliance="al-b")
    assert made.status_code == 202
    path = f"/api/company-requests/{made.json()['id']}/answer"
    assert here.ask("expert", "POST", path, json={"agreed": True}).status_code == 404
    # The control: a colleague of the alliance that is asked may.
    assert here.ask("lead", "POST", path, json={"agreed": True}).status_code == 200


def test_a_need_goes_to_the_alliance_that_was_there_first(here: Asked) -> None:
    asked = _hand(here, "stranger").json()["id"]
    here.done("lead", "POST", f"/api/company-requests/{asked}/answer", json={"agreed": True})
    assert here.done("company", "POST", "/api/needs", json={"title": "新需求"})["alliance"] == "al-a"
    # Handing the company to a colleague makes nobody later.
    _hand(here, "lead", expert=here.accounts["colleague"])
    assert here.done("company", "POST", "/api/needs", json={"title": "新需求二"})["alliance"] == "al-a"
    assert here.done("company", "POST", "/api/needs", json={"title": "三", "alliance": "al-b"})["alliance"] == "al-b"
    assert here.ask("lead", "DELETE", "/api/companies/co-1/client").status_code == 204
    assert here.done("company", "POST", "/api/needs", json={"title": "新需求四"})["alliance"] == "al-b"


def test_who_has_an_interest_does_not_look_after_it(here: Asked) -> None:
    here.done("colleague", "POST", "/api/me/stakes", json={"party": "company", "party_id": "co-1"})
    answer = _hand(here, "lead", expert=here.accounts["colleague"])
    assert (answer.status_code, answer.json()["field"]) == (409, "expert")
    # Who finds the interest later hands the company on.
    here.done("expert", "POST", "/api/me/stakes", json={"party": "company", "party_id": "co-1"})
    assert _hand(here, "expert").status_code == 409
    assert _hand(here, "expert", expert=here.accounts["lead"]).status_code == 200


@pytest.mark.postgresql_too
def test_many_who_take_it_at_once_take_it_once(here: Asked) -> None:
    everybody = ["expert", "colleague", "lead"] * 3
    # As many as one caller may have at once: a test's requests have a loop each, and none wakes the next of another.
    with ThreadPoolExecutor(WRITING.each or 1) as pool:
        assert {answer.status_code for answer in pool.map(lambda who: _hand(here, who, "co-2"), everybody)} == {200}
    with reading(here.engine) as session:
        query = select(Client.id).where(Client.company_id == "co-2", col(Client.until).is_(None))
        assert len(session.exec(query).all()) == 1


def test_a_share_ends_and_what_was_decided_stays(here: Asked) -> None:
    shares = "/api/needs/n-1/shares"
    here.done("expert", "POST", shares, json={"alliance": "al-b", "consent": "電話同意"})
    pairing = f"/api/pairings/{here.world.pairing_id}"
    word = {"verdict": "accept", "proposal_id": here.world.proposal_id}
    case_id = here.done("stranger", "POST", f"{pairing}/decision", json=word)["case_id"]
    assert here.ask("stranger", "GET", "/api/needs/n-1").status_code == 200
    # Neither the other alliance nor the company ends it.
    assert here.ask("stranger", "DELETE", f"{shares}/al-b").status_code == 403
    assert here.ask("company", "DELETE", f"{shares}/al-b").status_code == 403
    assert here.ask("lead", "DELETE", f"{shares}/al-b").status_code == 204
    assert here.ask("lead", "DELETE", f"{shares}/al-b").status_code == 409
    for path in ("/api/needs/n-1", "/api/needs/n-1/matches", pairing):
        assert here.ask("stranger", "GET", path).status_code == 404
    assert here.done("stranger", "GET", "/api/needs")["items"] == []
    assert here.done("stranger", "GET", "/api/queue")["new_needs"] == []
    assert here.done("expert", "GET", "/api/needs/n-1")["shared_with"] == []
    assert here.done("stranger", "GET", f"/api/cases/{case_id}")["stage"] == "accepted"
    assert here.done("expert", "GET", pairing)["state"] == "accepted"
    # Shared again, it is seen again; the office ends a share too.
    here.done("expert", "POST", shares, json={"alliance": "al-b", "consent": "再次同意"})
    assert here.ask("stranger", "GET", "/api/needs/n-1").status_code == 200
    assert here.ask("office", "DELETE", f"{shares}/al-b").status_code == 204
    assert here.ask("stranger", "GET", "/api/needs/n-1").status_code == 404
