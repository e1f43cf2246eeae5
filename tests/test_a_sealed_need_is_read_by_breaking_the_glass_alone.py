"""Whoever is of the office reads what is sealed by breaking the glass alone; its owners are told of every opening."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from indexer.database import writing
from indexer.settings import Settings
from matcher.ledger.rules.reporting import AcceptanceLedger
from matcher.review.people import grant
from matcher.review.roles import Role
from tests.conftest import POSTGRESQL_AT_LENGTH
from tests.rig.servers.mail_server import Inbox, listening
from tests.rig.worlds.nights import carried_out, only
from tests.rig.worlds.small_world import Asked, accept, asked, proposal_of

NEED, TEXT = "/api/needs/n-1", "拋光太慢"
pytestmark = POSTGRESQL_AT_LENGTH


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        yield made


def _shared(here: Asked) -> None:
    here.done("office", "POST", f"{NEED}/shares", json={"alliance": "al-b", "consent": "口頭同意"})


def _given(role: Role, scope: str) -> Any:
    """Let somebody else give the office another role: to the own account it gives none."""

    def give(here: Asked) -> None:
        own = f"/api/accounts/{here.accounts['office']}/roles"
        asked_for = here.ask("office", "POST", own, json={"role": role.value, "scope": scope})
        assert (asked_for.status_code, asked_for.json()["type"]) == (409, "urn:gloria:problem:two-people")
        now = datetime.now(UTC)
        with writing(here.engine) as session:
            grant(session, account_id=here.accounts["office"], role=role, scope_id=scope, by=None, now=now)

    return give


WAYS = {
    "a share": _shared,
    "expert of its alliance": _given(Role.EXPERT, "al-a"),
    "lead of its alliance": _given(Role.LEAD, "al-a"),
    "contact of its company": _given(Role.COMPANY, "co-1"),
    "a share with the own alliance": lambda here: (_given(Role.EXPERT, "al-b")(here), _shared(here)),
}
ROUTES = (
    NEED,
    "/api/needs",
    "/api/needs?q=拋光",
    "/api/exports/needs?format=jsonl",
    "/api/exports/pairings?format=jsonl",
    f"{NEED}/matches",
    "/api/labs/lab-1/matches",
    "/api/queue",
    "/api/companies/co-1",
    "/api/pairings/1",
    "/api/cases",
    "/api/ledger/entries/acceptance-1",
    "/results/acceptance-1",
    "/api/exports/cases?format=jsonl",
    "/api/field-map",
    "/api/exposure",
    "/needs/n-1",
    "/needs",
    "/cases",
    "/companies/co-1",
    "/search?q=拋光",
    "/company/needs/n-1",
    "/desk",
)


def _accepted(here: Asked) -> None:
    """Let the expert accept a proposal whose explanation quotes the need, as those of a match do."""
    with writing(here.engine) as session:
        shown = proposal_of(here.world.pairing_id, here.accounts["expert"])
        shown.explanation, shown.digest = {"for_company": {"zh": TEXT, "en": TEXT}}, "quoting"
        session.add(shown)
        session.flush()
        accept(session, replace(here.world, proposal_id=shown.id or 0), ledger=AcceptanceLedger())


@pytest.mark.parametrize("way", WAYS)
def test_no_other_role_share_or_grant_leads_to_the_text(here: Asked, way: str) -> None:
    _accepted(here)
    WAYS[way](here)
    shown = {route: TEXT in here.ask("office", "GET", route).text for route in ROUTES}
    assert shown == dict.fromkeys(ROUTES, False)
    # The controls: its own expert reads it there, and the office after breaking the glass.
    assert TEXT in here.ask("expert", "GET", NEED).text
    assert TEXT in here.ask("expert", "GET", "/needs/n-1").text
    assert TEXT in here.ask("expert", "GET", "/api/ledger/entries/acceptance-1").text
    assert TEXT in here.ask("expert", "GET", "/api/pairings/1").text
    broken = here.done("office", "POST", f"{NEED}/break-glass", params={"reason": "申訴案第三號之調查事項"})
    assert broken["title"] == TEXT
    assert TEXT not in here.ask("office", "GET", NEED).text


def test_its_company_and_its_alliance_are_told_and_nobody_else(here: Asked) -> None:
    before = here.ask("company", "GET", NEED).headers["ETag"]
    _shared(here)
    here.done("office", "POST", f"{NEED}/break-glass", params={"reason": "申訴案第三號之調查事項"})
    here.done("office", "DELETE", f"{NEED}/shares/al-b")
    _shared(here)
    wanted = [
        ("shared", "al-b", "口頭同意"),
        ("break_glass", None, "申訴案第三號之調查事項"),
        ("share_ended", "al-b", ""),
        ("shared", "al-b", "口頭同意"),
    ]
    for who in ("company", "expert", "lead"):
        told = here.done(who, "GET", NEED)["openings"]
        assert [(one["what"], one["alliance"], one["reason"]) for one in told] == wanted
    for who in ("stranger", "office"):
        assert here.done(who, "GET", NEED)["openings"] == []
    here.done("office", "DELETE", f"{NEED}/shares/al-b")
    # To be told is no edit: what was read before can still be edited on.
    assert (
        here.ask("company", "PATCH", NEED, json={"title": "拋光更慢"}, headers={"If-Match": before}).status_code == 200
    )
    for who, page in (("company", "/company/needs/n-1"), ("expert", "/needs/n-1")):
        shown = here.ask(who, "GET", page, headers={"Cookie": "gloria_lang=zh"}).text
        assert "獲准閱讀的情形" in shown
        assert "申訴案第三號之調查事項" in shown
        assert "乙聯盟" in shown


def test_whom_it_concerns_is_mailed_what_was_opened(here: Asked, settings: Settings) -> None:
    inbox, more = Inbox(), {"mail_from": "gloria@example.org"}
    _shared(here)
    here.done("office", "POST", f"{NEED}/break-glass", params={"reason": "申訴案第三號之調查事項"})
    with listening(inbox) as where:
        mailing = settings.model_copy(update={**more, "smtp_url": type(settings.smtp_url)(f"smtp://{where}")})
        # By the night too, for a home whose server does not run; each letter once.
        nights = [carried_out(mailing, only("letters"), fresh=True) for _ in range(2)]
    assert [dict(night.step("letters").figures)["mailed"] for night in nights] == [len(inbox.got), 0]
    told: dict[str, list[str]] = {}
    for (to,), message in inbox.got:
        told.setdefault(to.partition("@")[0], []).append(str(message["Subject"]))
        assert TEXT not in message.as_string()
        assert "申訴" not in message.as_string()
    shared, glass = "已讓其他聯盟閱讀一項需求", "總辦公室啟封並閱讀了一項需求"
    for who in ("company", "expert", "colleague", "lead"):
        assert sum(shared in one for one in told[who]) == 1, who
        assert sum(glass in one for one in told[who]) == 1, who
    # Whoever it was shared with hears of a need that is new for them, and of no seal.
    assert [len(told["stranger"]), glass in str(told["stranger"])] == [1, False]
