"""An interest is declared by what the party is called: people know no ids. In pages and over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from indexer.database import writing
from indexer.records.importing import import_rows
from indexer.settings import Settings
from tests.rig.worlds.small_world import Asked, asked

TAX_ID = "04595257"
COMPANIES = [
    {"id": "co-steel", "name": "臺灣鋼研股份有限公司", "name_en": "Taiwan Steel Research", "tax_id": TAX_ID},
    {"id": "co-same-1", "name": "同名實業"},
    {"id": "co-same-2", "name": "同名實業"},
]
LABS = [
    {"id": "lab-ink", "name": "電子墨水實驗室", "name_en": "E-Ink Laboratory"},
    {"id": "lab-inkjet", "name": "墨水噴印實驗室"},
]


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        with writing(made.engine) as session:
            import_rows(session, "companies", COMPANIES)
            import_rows(session, "labs", LABS)
        yield made


def _held(here: Asked, who: str) -> list[str]:
    return [one["party_id"] for one in here.done(who, "GET", "/api/me")["stakes"]]


def _declared(here: Asked, who: str, **form: str) -> Any:
    return here.ask(who, "POST", "/account/stakes", data=form, follow_redirects=False)


def test_what_a_party_is_called_is_enough(here: Asked) -> None:
    ways = [
        ("company", "co-steel"),
        ("company", "臺灣鋼研股份有限公司"),
        ("company", "台湾钢研股份有限公司"),
        ("company", "taiwan steel research"),
        ("company", TAX_ID),
        ("company", "統一編號 ０４５９５２５７"),
        ("lab", "lab-ink"),
        ("lab", "電子墨水實驗室"),
        ("lab", "电子墨水实验室"),
        ("lab", "E-INK Laboratory"),
    ]
    answers = [
        here.done("expert", "POST", "/api/me/stakes", json={"party": one, "party_id": said}) for one, said in ways
    ]
    # However it is said, it is the same interest, declared once.
    company, lab = (one["id"] for one in here.done("expert", "GET", "/api/me")["stakes"])
    assert answers == [
        *[{"id": company, "party": "company", "party_id": "co-steel"}] * 6,
        *[{"id": lab, "party": "lab", "party_id": "lab-ink"}] * 4,
    ]
    assert _held(here, "expert") == ["co-steel", "lab-ink"]


def test_what_is_called_otherwise_is_refused(here: Asked) -> None:
    nothing = ("party_id", "nothing is called that; give its whole name, or a company's tax id")
    refused = {
        ("company", "沒有這家公司"): nothing,
        ("company", "鋼研"): nothing,
        ("company", "12345675"): nothing,
        ("company", "電子墨水實驗室"): nothing,
        ("lab", TAX_ID): nothing,
        ("company", "同名實業"): ("party_id", "2 are called that; give the tax id or the id"),
        ("school", "一號大學"): ("party", "name a company or a lab"),
    }
    for (party, said), why in refused.items():
        body = {"party": party, "party_id": said}
        answer = here.ask("expert", "POST", "/api/me/stakes", json=body, headers={"Accept-Language": "en"})
        told = answer.json()
        assert (answer.status_code, told["field"], told["detail"]) == (422, *why), said
    assert _held(here, "expert") == []


def test_a_part_of_a_name_lists_those_that_have_it(here: Asked) -> None:
    page = _declared(here, "expert", party="lab", party_id="墨水")
    assert (page.status_code, _held(here, "expert")) == (422, [])
    listed = re.findall(r'<button name="chosen" value="([^"]*)">([^<]*)</button>', page.text)
    assert listed == [("lab-ink", "電子墨水實驗室"), ("lab-inkjet", "墨水噴印實驗室")]
    # What was typed stands there still, and one press declares the one that was meant.
    assert 'value="墨水"' in page.text
    chosen = _declared(here, "expert", party="lab", party_id="墨水", chosen="lab-inkjet")
    assert (chosen.status_code, chosen.headers["location"]) == (303, "/account")
    assert _held(here, "expert") == ["lab-inkjet"]
    assert "墨水噴印實驗室" in here.ask("expert", "GET", "/account").text


def test_of_companies_only_who_may_look_their_names_up_is_told(here: Asked) -> None:
    pages = {who: _declared(here, who, party="company", party_id="鋼研") for who in ("expert", "committee")}
    assert {who: page.status_code for who, page in pages.items()} == dict.fromkeys(pages, 422)
    assert ["臺灣鋼研" in page.text for page in pages.values()] == [True, False]
    # By the whole name the committee member declares it all the same.
    whole = _declared(here, "committee", party="company", party_id="臺灣鋼研股份有限公司")
    assert (whole.status_code, _held(here, "committee")) == (303, ["co-steel"])


def test_the_page_says_what_nothing_is_called(here: Asked) -> None:
    page = _declared(here, "expert", party="company", party_id="沒有這家公司")
    assert (page.status_code, 'name="chosen"' in page.text) == (422, False)
    assert "查無此名稱；請填完整名稱，企業亦可填統一編號" in page.text
    assert _held(here, "expert") == []
