"""A word of its own in every secret field: everybody finds exactly the words that are theirs, nothing else tells."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlmodel import SQLModel

from indexer.database import open_engine, reading
from indexer.settings import Settings
from tests.conftest import Gloria
from tests.serving import PEOPLE, Served, routes_of, served

# Lower-case letters only, so that a word index would keep them as they are.
TEXT = {"qzvtitle", "qzvdescription", "qzvask"}
TERMS = {"717263545362", "qzvexcluded"}
NOTES = {"qzvacceptnote", "qzvrejectnote", "qzvcasenote", "qzvmeetingnote", "qzvnextstep", "qzvcallstep", "qzvownnote"}
SHARED = {"qzvsharedtitle", "qzvsharedask", "817263545362", "qzvsharedexcluded"}
UNSEEN = {"qzvconsent", "qzvcallnote", "qzvbreakreason", "qzvclosingnote"}
EVERY = TEXT | TERMS | NOTES | SHARED | UNSEEN
MAY_FIND = {
    # One need of co-1-1 stays in al-a and was introduced to lab-1-01 only; the other one was shared with al-b.
    "expert": TEXT | TERMS | NOTES | SHARED,
    "colleague": TEXT | TERMS | NOTES | SHARED,
    "lead": TEXT | TERMS | NOTES | SHARED,
    "company": TEXT | TERMS | SHARED,
    "researcher": TEXT,
    "stranger": SHARED,
    "office": SHARED,
    "rival": set[str](),
    "other_researcher": set[str](),
    "committee": set[str](),
    "job": set[str](),
    "newcomer": set[str](),
}
PLANTED = "qzvplanted"


@dataclass
class History:
    """The objects that the history left behind, by the parameter that names them in a path."""

    ids: dict[str, list[str]] = field(default_factory=lambda: {"company_id": ["co-1-1", "co-1-2", "none"]})


def _done(server: Served, who: str, method: str, path: str, **more: Any) -> dict[str, Any]:
    answer = server.ask(who, method, path, **more)
    assert answer.status_code in (200, 201), f"{method} {path}: {answer.text}"
    document: dict[str, Any] = answer.json()
    return document


def _submitted(server: Served, title: str, description: str, ask: str, budget_ntd: str, excluded: str) -> str:
    need = {
        "title": f"碳化矽拋光 {title}",
        "description": f"矽面移除率太低 {description}",
        "asks": [{"kind": "technology", "text": f"拋光液配方 {ask}"}],
        "confidentiality": "confidential",
        "budget_ntd": int(budget_ntd),
        "excluded_labs": [excluded],
    }
    need_id = str(_done(server, "company", "POST", "/api/needs", json=need)["id"])
    _done(server, "expert", "POST", f"/api/needs/{need_id}/take-up")
    return need_id


def _decided(server: Served, shown: dict[str, Any], note: str, **more: str) -> dict[str, Any]:
    word = {"verdict": "accept", "proposal_id": shown["proposal_id"], "note": note, **more}
    return _done(server, "expert", "POST", f"/api/pairings/{shown['pairing_id']}/decision", json=word)


def _told(server: Served) -> History:
    """Let a history happen that fills every field which somebody must not read."""
    need_id = _submitted(server, "qzvtitle", "qzvdescription", "qzvask", "717263545362", "qzvexcluded")
    page = _done(server, "expert", "GET", f"/api/needs/{need_id}/matches", params={"top": 100})
    shown = {item["lab_id"]: item for item in page["pairings"]}
    case_id = _decided(server, shown["lab-1-01"], "qzvacceptnote")["case_id"]
    _decided(server, shown["lab-1-03"], "qzvrejectnote", verdict="reject", reason="wrong_field")
    accepted = _decided(server, shown["lab-1-02"], "")
    _done(server, "expert", "PUT", f"/api/pairings/{shown['lab-1-01']['pairing_id']}/release")
    introduced = {"stage": "introduced", "note": "qzvcasenote"}
    _done(server, "expert", "POST", f"/api/cases/{case_id}/transition", json=introduced)
    on = {"held_on": "2020-01-02", "next_on": "2020-01-03"}
    meeting = {"kind": "meeting", "note": "qzvmeetingnote", "next_step": "qzvnextstep", **on}
    _done(server, "expert", "POST", f"/api/cases/{case_id}/contacts", json=meeting)
    call = {"kind": "call", "note": "qzvcallnote", "next_step": "qzvcallstep", **on}
    _done(server, "expert", "POST", "/api/companies/co-1-1/contacts", json=call)

    shared_id = _submitted(server, "qzvsharedtitle", "", "qzvsharedask", "817263545362", "qzvsharedexcluded")
    consent = {"alliance": "al-b", "consent": "qzvconsent"}
    _done(server, "expert", "POST", f"/api/needs/{shared_id}/shares", json=consent)
    page = _done(server, "expert", "GET", f"/api/needs/{shared_id}/matches", params={"top": 2})
    own = page["pairings"][0]
    _decided(server, own, "qzvownnote", verdict="reject", reason="budget")
    closing = {"state": "closed", "note": "qzvclosingnote"}
    _done(server, "expert", "POST", f"/api/needs/{shared_id}/state", json=closing)
    seen = _done(
        server, "office", "POST", f"/api/needs/{need_id}/break-glass", params={"reason": "qzvbreakreason, a complaint"}
    )
    # Who breaks the glass reads the need, and only in that answer.
    assert _found(str(seen)) == TEXT | TERMS
    history = History()
    pairings = [*(shown[lab_id] for lab_id in ("lab-1-01", "lab-1-02", "lab-1-03")), own]
    history.ids |= {
        "need_id": [need_id, shared_id, "need-1-01", "need-1-03", "none"],
        "pairing_id": [str(item["pairing_id"]) for item in pairings] + ["999999"],
        "case_id": [str(case_id), str(accepted["case_id"]), "999999"],
        "lab_id": ["lab-1-01", "lab-1-02", "none"],
        "account_id": [server.accounts["expert"], "none"],
        "claim_id": ["999999"],
        "prefix": ["none"],
    }
    return history


def _found(text: str) -> set[str]:
    return {word for word in EVERY if word in text}


def _paths(template: str, history: History) -> Iterator[str]:
    """Yield a path with each of the objects that its parameter can name."""
    name = template.partition("{")[2].partition("}")[0]
    for known in history.ids[name] if name else [""]:
        yield template.replace(f"{{{name}}}", known)


# Bodies that pass the models but are refused by what is stored, so that refusals come from every depth.
_REFUSED = {
    "/decision": {"verdict": "accept", "proposal_id": 1},
    "/transition": {"stage": "signed"},
    "/contacts": {"kind": "call", "held_on": "2026-11-20", "next_on": "2026-11-01"},
    "/shares": {"alliance": "al-a", "consent": "by telephone"},
    "/alliance": {"alliance": "al-b"},
    "/state": {"state": "submitted"},
    "/stakes": {"party": "lab", "party_id": "none"},
    "/session": {"email": "expert@example.org", "password": "wrong"},
    "/claims": {"statement": " "},
    "/client": {"alliance": "none"},
    "/roles": {"role": "expert", "scope": "none"},
    "/password": {"old": "wrong", "new": "wrong"},
}


def _changes(template: str, history: History, who: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield paths and bodies of changing requests: refused by what is stored, by the models, and as no JSON."""
    body = next((value for end, value in _REFUSED.items() if template.endswith(end)), {})
    paths = list(_paths(template, history))
    if template.endswith("/break-glass") and who == "office":
        # A reason would open the need, as it should: without one it is refused.
        yield from ((path, {}) for path in paths)
        return
    yield from ((path, {"json": body}) for path in (*paths[:2], paths[-1]))
    yield paths[0], {"json": {"unknown": 1}}
    yield paths[0], {"content": b"{"}


def _everything(
    server: Served, who: str | None, routes: list[tuple[str, str, Any]], history: History
) -> dict[str, set[str]]:
    """Return which of the words somebody meets, and in which answers."""
    met: dict[str, set[str]] = {}
    looks = [(path, {}) for method, template, _ in routes if method == "GET" for path in _paths(template, history)]
    looks += [("/api/openapi.json", {}), ("/api/labs", {"q": "qzv"}), ("/api/needs", {"state": "taken_up"})]
    headers = {} if who is None else {"Authorization": f"Bearer {server.keys[who]}"}
    # One connection for all: making one for each takes longer than the answers.
    with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
        for path, parameters in looks:
            answer = client.get(path, params=parameters)
            assert answer.status_code < 500, f"{path}: {answer.text}"
            for word in _found(answer.text + str(answer.headers)):
                met.setdefault(word, set()).add(f"GET {path}")
        for method, template, permission in routes:
            if method == "GET" or (permission is None and who is not None):
                continue
            for path, content in _changes(template, history, who):
                answer = client.request(method, path, headers={"If-Match": '"stale"'}, **content)
                assert answer.status_code < 500, f"{method} {path}: {answer.text}"
                for word in _found(answer.text + str(answer.headers)):
                    # A refusal quotes nothing that is stored, not even to those who may read it.
                    assert answer.status_code < 400, f"{method} {path}: {answer.text}"
                    met.setdefault(word, set()).add(f"{method} {path}")
    return met


def _files(home: Path) -> dict[str, set[str]]:
    """Return which words lie in the files beside the database, also inside of packed arrays."""
    met: dict[str, set[str]] = {}
    for path in sorted(home.rglob("*")):
        # The database is where these texts live.
        if not path.is_file() or path.name.startswith("gloria.db"):
            continue
        content = path.read_bytes()
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                content += b"".join(packed.read(name) for name in packed.namelist())
        found = {word for word in EVERY | {PLANTED} if word.encode() in content or word.encode("utf-32-le") in content}
        if found:
            met[path.relative_to(home).as_posix()] = found
    return met


def _stored(settings: Settings) -> str:
    engine = open_engine(settings)
    with reading(engine) as session:
        rows = [str(session.execute(select(table)).all()) for table in SQLModel.metadata.sorted_tables]
    engine.dispose()
    return "\n".join(rows)


@pytest.fixture
def plant(settings: Settings, indexed_home: Path, slice_of_world: Path) -> Iterator[tuple[Served, History]]:
    """A server after the history."""
    with served(settings, indexed_home, slice_of_world) as server:
        yield server, _told(server)


def test_everybody_finds_what_is_theirs_and_nothing_else(plant: tuple[Served, History], settings: Settings) -> None:
    server, history = plant
    # Every word is really there to be found.
    assert _found(_stored(settings)) == EVERY
    routes = routes_of(settings)
    assert {method for method, _, _ in routes} == {"GET", "POST", "PUT", "PATCH", "DELETE"}
    assert set(MAY_FIND) == set(PEOPLE)
    met = {who: _everything(server, who, routes, history) for who in (*PEOPLE, None)}
    leaks = [
        f"{who} met {word} in {sorted(places)[:3]}"
        for who, words in met.items()
        for word, places in sorted(words.items())
        if word not in MAY_FIND.get(who or "", set())
    ]
    assert leaks == []
    # The control: by the same search, those whose words they are find every single one.
    assert {who: set(words) for who, words in met.items() if who} == MAY_FIND


def test_log_and_index_files_say_nothing(plant: tuple[Served, History], settings: Settings, gloria: Gloria) -> None:
    server, _ = plant
    # What a client sends in a path, a query or a header is not written down either.
    for path in ("/api/needs/qzvtitle", "/api/labs?q=qzvask", "/api/cases/qzvcasenote", "/qzvtitle"):
        assert server.ask("expert", "GET", path, headers={"X-Request-Id": "qzvdescription!"}).status_code < 500
    assert server.ask("expert", "POST", "/api/needs", json={"qzvtitle": "qzvask"}).status_code == 422

    # The control: a word in a lab's name, which everybody who looks for labs may read, is found by the same search.
    etag = server.ask("researcher", "GET", "/api/labs/lab-1-01").headers["ETag"]
    planted = server.ask(
        "researcher", "PATCH", "/api/labs/lab-1-01", json={"name": PLANTED}, headers={"If-Match": etag}
    )
    assert planted.status_code == 200, planted.text
    assert PLANTED in server.ask("stranger", "GET", "/api/labs/lab-1-01").text
    answer = gloria("reindex", home=settings.home, database_url=settings.database_url)
    assert answer.code == 0, answer.err
    assert _found(answer.out + answer.err) == set()
    files = _files(settings.home)
    assert [name for name, words in files.items() if words != {PLANTED}] == []
    assert any(name.endswith("passages.json") for name in files)

    log = server.log.read_text()
    assert log.count('"route"') > 20
    assert _found(log) == set()
    assert [name for name in PEOPLE if f"{name}@" in log] == []
