"""Companies over HTTP: the portfolio with what is open, hand-overs with their dates, shares that end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlmodel import col, select

from indexer.database import reading
from indexer.settings import Settings
from matcher.review.clients import Client
from tests.rig.worlds.small_world import Asked, asked


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
    persons = [{"id": here.accounts["company"], "name": "company", "email": "company@example.org"}]
    for who in ("expert", "lead", "office"):
        assert here.done(who, "GET", "/api/companies/co-1")["contact_persons"] == persons
    assert "contact_persons" not in here.done("company", "GET", "/api/companies/co-1")
    others = {
        who: here.ask(who, "GET", "/api/companies/co-1").status_code for who in ("stranger", "rival", "committee")
    }
    assert others == {"stranger": 404, "rival": 404, "committee": 403}
    # With a declared interest the pairings are no longer counted.
    here.done("lead", "POST", "/api/me/stakes", json={"party": "lab", "party_id": "lab-1"})
    assert (_listed(here, "lead")["co-1"]["open_cases"], _listed(here, "expert")["co-1"]["open_cases"]) == (0, 1)


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
    # Two alliances may look after one company; each sees its own.
    assert [one["alliance"] for one in _hand(here, "stranger").json()["clients"]] == ["al-b"]
    assert [one["alliance"] for one in _listed(here, "office")["co-1"]["clients"]] == ["al-a", "al-b"]
    assert here.ask("colleague", "DELETE", "/api/companies/co-1/client").status_code == 204
    assert here.ask("colleague", "DELETE", "/api/companies/co-1/client").status_code == 404
    assert list(_listed(here, "expert")) == ["co-2"]
    with reading(here.engine) as session:
        rows = session.exec(select(Client).where(Client.company_id == "co-1").order_by(col(Client.id))).all()
    names = {account_id: name for name, account_id in here.accounts.items()}
    told = [(row.alliance_id, names[row.expert_id or ""], names.get(row.ended_by or "")) for row in rows]
    assert told == [("al-a", "expert", "lead"), ("al-a", "colleague", "colleague"), ("al-b", "stranger", None)]


def test_who_has_an_interest_does_not_look_after_it(here: Asked) -> None:
    here.done("colleague", "POST", "/api/me/stakes", json={"party": "company", "party_id": "co-1"})
    answer = _hand(here, "lead", expert=here.accounts["colleague"])
    assert (answer.status_code, answer.json()["field"]) == (409, "expert")
    # Who finds the interest later hands the company on.
    here.done("expert", "POST", "/api/me/stakes", json={"party": "company", "party_id": "co-1"})
    assert _hand(here, "expert").status_code == 409
    assert _hand(here, "expert", expert=here.accounts["lead"]).status_code == 200


def test_many_who_take_it_at_once_take_it_once(here: Asked) -> None:
    everybody = ["expert", "colleague", "lead"] * 3
    with ThreadPoolExecutor(9) as pool:
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
