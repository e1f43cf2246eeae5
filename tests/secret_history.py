"""A history that fills every field which somebody must not read, each with a telltale, and who may read which.

In: a running server. Out: the telltales with their readers, and the rows that the history left. It exists apart from
its test because it is the list of what is secret here: a new secret field is added to `SECRETS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from api.asking import COOKIE
from api.credentials import digest, set_password_hash
from api.passwords import hashed
from indexer.database import open_engine, writing
from indexer.importing import import_rows
from matcher.people import declare_stake
from tests.map_drawn import draw_everything
from tests.secret_results import NOT_STORED, OWN, RESULT_SECRETS, Secret, results_told
from tests.serving import PEOPLE, Served
from tests.telltale import chinese, latin, telltale

SECRETS = {
    # A confidential need of co-1-1 that stays in al-a and was introduced to lab-1-01 only.
    "title": Secret(OWN | {"company", "researcher"}),
    "description": Secret(OWN | {"company", "researcher"}),
    "ask": Secret(OWN | {"company", "researcher"}),
    "deadline": Secret(OWN | {"company", "researcher"}),
    "reason": Secret(OWN | {"company"}),
    "budget": Secret(OWN | {"company"}),
    "excluded": Secret(OWN | {"company"}),
    # Another one, which was shared with al-b for the company's consent.
    "sharedtitle": Secret(OWN | {"company", "stranger", "office"}),
    "sharedreason": Secret(OWN | {"company", "stranger", "office"}),
    "sharedbudget": Secret(OWN | {"company", "stranger", "office"}),
    "sharedexcluded": Secret(OWN | {"company", "stranger", "office"}),
    # What experts write stays in their alliance.
    "acceptnote": Secret(OWN),
    "rejectnote": Secret(OWN),
    "ownnote": Secret(OWN),
    "casenote": Secret(OWN),
    "lostnote": Secret(OWN),
    "meetingnote": Secret(OWN),
    "nextstep": Secret(OWN),
    "callnote": Secret(may=OWN),
    "callstep": Secret(OWN),
    "consent": Secret(may=OWN | {"company", "office"}),
    "closingnote": Secret(may=OWN),
    "breakreason": Secret(may=frozenset({"office"})),
    # What a lab will not do is for those who match.
    "willnot": Secret(OWN | {"stranger", "office", "researcher"}),
    # Candidates that the company was not shown: one rejected, one only proposed.
    "rejected": Secret(OWN | {"stranger", "office"}),
    "proposed": Secret(OWN | {"stranger", "office"}),
    "stake": Secret(frozenset({"colleague"}), frozenset({"office"})),
    # What proves who somebody is, and what nobody has to give back.
    "password": Secret(),
    "wrongpassword": Secret(),
    "idempotency": Secret(),
    "session": Secret(),
    "csrf": Secret(),
    "keys": Secret(),
    "hashes": Secret(),
    "addresses": Secret(may=frozenset({"office"})),
    # Who looks after a company reads whom to write to.
    "contactaddress": Secret(OWN | {"office"}),
    **RESULT_SECRETS,
}
NUMBERS = {"budget": 717_263_545_362, "sharedbudget": 817_263_545_362}
DEADLINE = "2091-03-17"
PASSWORD = f"{latin('password')} of the expert"
_PLANTED = {name: telltale(name, number) for number, name in enumerate(SECRETS)}
"""The text of each secret that is text."""
CREDENTIALS = ("password", "session", "keys", *NOT_STORED)
"""What is not even in the database."""


@dataclass
class History:
    """What the history left: the words that give each secret away, and rows by the parameter that names them."""

    words: dict[str, list[str]]
    ids: dict[str, list[str]]


def told(server: Served) -> History:
    """Let the history happen."""
    words = {name: [latin(name), chinese(number)] for number, name in enumerate(SECRETS)}
    for name, number in NUMBERS.items():
        words[name] = [str(number), f"{number:,}"]
    words |= {
        "deadline": [DEADLINE, "2091, 3, 17", "2091/3/17", "2091/03/17"],
        "rejected": ["lab-1-03"],
        "proposed": ["lab-1-04"],
    }
    words |= {
        "keys": list(server.keys.values()),
        "addresses": [f"{name}@example.org" for name in PEOPLE if name not in ("company", "newcomer")],
    }
    words["contactaddress"] = ["company@example.org"]
    words["hashes"] = [digest(key) for key in server.keys.values()]
    for name in ("stake", "wrongpassword", "password", "idempotency"):
        # Ids, headers and what is typed have no Chinese here.
        words[name] = [latin(name)]
    need_id = _submitted(server, "title", description="description", ask="ask", deadline=DEADLINE)
    ids = _worked_on(server, need_id)
    shared_id, own_id = _shared(server)
    seen = _done(
        server, "office", "POST", f"/api/needs/{need_id}/break-glass", params={"reason": _PLANTED["breakreason"]}
    )
    # Who breaks the glass reads the need, and only in that answer.
    assert latin("title") in seen["title"]
    words["session"], words["csrf"] = _credentials(server)
    _lab_and_stake(server)
    for name, several in results_told(server, _PLANTED, words).items():
        ids[name] = several
    # A map with a point for every need and lab.
    draw_everything(server.settings)
    ids["need_id"] += [shared_id]
    ids["pairing_id"] += [own_id]
    return History(words, ids)


def _done(server: Served, who: str | None, method: str, path: str, **more: Any) -> dict[str, Any]:
    answer = server.ask(who, method, path, **more)
    assert answer.status_code in (200, 201), f"{method} {path}: {answer.text}"
    document: dict[str, Any] = answer.json()
    return document


def _submitted(server: Served, title: str, *, description: str = "", ask: str = "", **more: Any) -> str:
    prefix = "shared" if title.startswith("shared") else ""
    need = {
        "title": f"碳化矽拋光 {_PLANTED[title]}",
        "description": f"矽面移除率太低 {_PLANTED.get(description, '')}",
        "asks": [{"kind": "technology", "text": f"拋光液配方 {_PLANTED.get(ask, '')}"}],
        "confidentiality": "confidential",
        "confidential_reason": f"與客戶有約 {_PLANTED[f'{prefix}reason']}",
        "budget_ntd": NUMBERS[f"{prefix}budget"],
        "excluded_labs": [_PLANTED[f"{prefix}excluded"]],
        **more,
    }
    key = {"Idempotency-Key": f"{latin('idempotency')}-{title}"}
    need_id = str(_done(server, "company", "POST", "/api/needs", json=need, headers=key)["id"])
    _done(server, "expert", "POST", f"/api/needs/{need_id}/take-up")
    return need_id


def _decided(server: Served, shown: dict[str, Any], note: str, **more: str) -> dict[str, Any]:
    word = {"verdict": "accept", "proposal_id": shown["proposal_id"], "note": _PLANTED.get(note, ""), **more}
    return _done(server, "expert", "POST", f"/api/pairings/{shown['pairing_id']}/decision", json=word)


def _worked_on(server: Served, need_id: str) -> dict[str, list[str]]:
    page = _done(server, "expert", "GET", f"/api/needs/{need_id}/matches", params={"top": 100})
    shown = {item["lab_id"]: item for item in page["pairings"]}
    case_id = _decided(server, shown["lab-1-01"], "acceptnote")["case_id"]
    _decided(server, shown["lab-1-03"], "rejectnote", verdict="reject", reason="wrong_field")
    lost_id = _decided(server, shown["lab-1-02"], "")["case_id"]
    _done(server, "expert", "PUT", f"/api/pairings/{shown['lab-1-01']['pairing_id']}/release")
    for number, move in (
        (case_id, {"stage": "introduced", "note": _PLANTED["casenote"]}),
        (lost_id, {"stage": "lost", "reason": "terms", "note": _PLANTED["lostnote"]}),
    ):
        _done(server, "expert", "POST", f"/api/cases/{number}/transition", json=move)
    on = {"held_on": "2020-01-02", "next_on": "2020-01-03"}
    meeting = {"kind": "meeting", "note": _PLANTED["meetingnote"], "next_step": _PLANTED["nextstep"], **on}
    _done(server, "expert", "POST", f"/api/cases/{case_id}/contacts", json=meeting)
    call = {"kind": "call", "note": _PLANTED["callnote"], "next_step": _PLANTED["callstep"], **on}
    _done(server, "expert", "POST", "/api/companies/co-1-1/contacts", json=call)
    pairings = [str(shown[f"lab-1-0{number}"]["pairing_id"]) for number in (1, 2, 3, 4)]
    cases = [str(case_id), str(lost_id)]
    return {"need_id": [need_id], "pairing_id": pairings, "case_id": cases}


def _shared(server: Served) -> tuple[str, str]:
    shared_id = _submitted(server, "sharedtitle")
    consent = {"alliance": "al-b", "consent": _PLANTED["consent"]}
    _done(server, "expert", "POST", f"/api/needs/{shared_id}/shares", json=consent)
    page = _done(server, "expert", "GET", f"/api/needs/{shared_id}/matches", params={"top": 2})
    _decided(server, page["pairings"][0], "ownnote", verdict="reject", reason="budget")
    closing = {"state": "closed", "note": _PLANTED["closingnote"]}
    _done(server, "expert", "POST", f"/api/needs/{shared_id}/state", json=closing)
    return shared_id, str(page["pairings"][0]["pairing_id"])


def _credentials(server: Served) -> tuple[list[str], list[str]]:
    """Sign in and out and in again; return the sessions' tokens and their CSRF tokens."""
    engine, now = open_engine(server.settings), datetime.now(UTC)
    with writing(engine) as session:
        stored = hashed(PASSWORD)
        set_password_hash(session, account_id=server.accounts["expert"], stored=stored, now=now)
    engine.dispose()
    wrong = {"email": "expert@example.org", "password": latin("wrongpassword")}
    assert server.ask(None, "POST", "/api/session", json=wrong).status_code == 401
    right = {"email": "expert@example.org", "password": PASSWORD}
    answers = [server.ask(None, "POST", "/api/session", json=right) for _ in range(2)]
    tokens = [answer.headers["Set-Cookie"].partition(f"{COOKIE}=")[2].partition(";")[0] for answer in answers]
    csrf_tokens = [str(answer.json()["csrf_token"]) for answer in answers]
    cookie = {"Cookie": f"{COOKIE}={tokens[0]}", "X-CSRF-Token": csrf_tokens[0]}
    assert server.ask(None, "DELETE", "/api/session", headers=cookie).status_code == 204
    assert all(len(token) > 40 for token in (*tokens, *csrf_tokens))
    return tokens, csrf_tokens


def _lab_and_stake(server: Served) -> None:
    etag = server.ask("researcher", "GET", "/api/labs/lab-1-01").headers["ETag"]
    change = {"will_not_do": [_PLANTED["willnot"]]}
    _done(server, "researcher", "PATCH", "/api/labs/lab-1-01", json=change, headers={"If-Match": etag})
    engine, now = open_engine(server.settings), datetime.now(UTC)
    company_id = latin("stake")
    with writing(engine) as session:
        import_rows(session, "companies", [{"id": company_id, "name": "丙公司"}])
        account_id = server.accounts["colleague"]
        declare_stake(session, account_id=account_id, party="company", party_id=company_id, now=now)
    engine.dispose()
