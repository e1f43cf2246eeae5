"""Registers that have a public interface are asked one request at a time, by name, and no more than needed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from api.requests.looking_up import LookUps
from indexer.settings import Settings
from indexer.sources.fetching import FetchError, Fetching
from tests.conftest import Gloria
from tests.rig.worlds.small_world import asked as small_world

FILES = Path(__file__).parent / "register_files"
LIN = "0000-0002-1825-0097"
WORK = {"id": "https://openalex.org/W1", "title": "Ice thickness by sound", "publication_year": 2022, "authorships": []}


@dataclass
class Register:
    """A register on this machine: what it answers by path, how often it refuses first, what it was asked."""

    answers: dict[str, Any] = field(default_factory=dict)
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def register() -> Iterator[Register]:
    known = Register()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.asked.append((unquote(self.path), str(self.headers["User-Agent"])))
            status, headers, body = 404, {}, b"{}"
            if known.refusals:
                status, headers = known.refusals.pop(0)
            elif unquote(self.path) in known.answers:
                said = known.answers[unquote(self.path)]
                status, body = 200, said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield known
    server.shutdown()
    server.server_close()


def visit(register: Register, folder: Path, pauses: list[float], **options: Any) -> Fetching:
    return Fetching("office@gloria.example", folder, register.url, pause=pauses.append, **options)


def test_an_answer_is_kept_and_not_asked_for_twice(register: Register, tmp_path: Path) -> None:
    register.answers[f"/orcid/{LIN}/record"] = {"orcid-identifier": {"path": LIN}}
    pauses: list[float] = []
    (file,) = visit(register, tmp_path, pauses).fetch("orcid", [f"https://orcid.org/{LIN}"])
    assert json.loads(file.read_bytes()) == {"orcid-identifier": {"path": LIN}}
    assert visit(register, tmp_path, pauses).fetch("orcid", [LIN]) == [file]
    assert register.asked == [(f"/orcid/{LIN}/record", "GLORIA-Match (mailto:office@gloria.example)")]
    # The control: what is older than a week is asked for again.
    week = 8 * 24 * 3600
    later = visit(register, tmp_path, pauses, clock=lambda: file.stat().st_mtime + week)
    later.fetch("orcid", [LIN])
    assert len(register.asked) == 2


def test_a_register_is_asked_once_a_second_and_waits_as_long_as_it_says(register: Register, tmp_path: Path) -> None:
    for number in (1, 2):
        register.answers[f"/crossref/works/10.5555/{number}"] = {"message": {}}
    register.refusals = [(429, {"Retry-After": "7"}), (503, {})]
    pauses: list[float] = []
    found = visit(register, tmp_path, pauses, clock=lambda: 0.0).fetch("crossref", ["10.5555/1", "10.5555/2"])
    assert len(found) == 2
    # As long as it said, then longer each time; and a second before every request but the first.
    assert pauses == [1.0, 7.0, 1.0, 2.0, 1.0, 1.0]
    assert [path for path, _ in register.asked] == ["/crossref/works/10.5555/1"] * 3 + ["/crossref/works/10.5555/2"]


def test_pages_are_followed_to_their_end(register: Register, tmp_path: Path) -> None:
    path = f"/openalex-works/works?filter=author.orcid:{LIN}&per-page=100&cursor="
    register.answers[path + "*"] = {"results": [WORK], "meta": {"next_cursor": "b=="}}
    register.answers[path + "b=="] = {"results": [], "meta": {"next_cursor": "c"}}
    assert len(visit(register, tmp_path, []).fetch("openalex-works", [LIN])) == 2
    one = '/datacite/dois?query=creators.nameIdentifiers.nameIdentifier:"https://orcid.org/'
    first = f'{one}{LIN}"&page[size]=100&page[cursor]=1'
    register.answers[first] = {"data": [], "links": {"next": "https://elsewhere.example/dois?page[cursor]=x"}}
    register.answers["/datacite/dois?page[cursor]=x"] = {"data": []}
    assert len(visit(register, tmp_path, []).fetch("datacite", [LIN])) == 2


@pytest.mark.parametrize(("source", "identifier", "path"), [
    ("openalex-authors", "A5023888391", "/authors/A5023888391"),
    ("openalex-authors", LIN, f"/authors/orcid:{LIN}"),
    ("openalex-institutions", "03yrm5c26", "/institutions/ror:03yrm5c26"),
    ("ror", "https://ror.org/03yrm5c26", "/organizations/03yrm5c26"),
    ("datacite", "10.5555/x", "/dois/10.5555/x"),
    ("openalex-works", "10.5555/x", "/works/doi:10.5555/x"),
])  # fmt: skip
def test_an_identifier_leads_to_its_record(
    register: Register, tmp_path: Path, source: str, identifier: str, path: str
) -> None:
    register.answers[f"/{source}{path}"] = {"id": "x"}
    assert len(visit(register, tmp_path, []).fetch(source, [identifier])) == 1


def test_what_cannot_be_fetched_is_said(register: Register, tmp_path: Path) -> None:
    register.refusals = [(500, {})] * 4
    with pytest.raises(FetchError, match=r"does not answer .500."):
        visit(register, tmp_path, []).fetch("orcid", [LIN])
    with pytest.raises(FetchError, match="knows no such record"):
        visit(register, tmp_path, []).fetch("orcid", [LIN])
    register.refusals = [(429, {"Retry-After": "3600"})]
    with pytest.raises(FetchError, match="pause of 3,600 s"):
        visit(register, tmp_path, []).fetch("orcid", [LIN])
    register.answers[f"/orcid/{LIN}/record"] = b"<html>Sign in to the wireless network</html>"
    with pytest.raises(FetchError, match="something else"):
        visit(register, tmp_path, []).fetch("orcid", [LIN])
    with pytest.raises(FetchError, match="ORCID"):
        visit(register, tmp_path, []).fetch("orcid", ["0000-0002-1825-0098"])
    with pytest.raises(FetchError, match="can't be asked"):
        visit(register, tmp_path, []).fetch("cordis", ["1"])
    with pytest.raises(FetchError, match="address to write to"):
        Fetching("", tmp_path)
    gone = Fetching("office@gloria.example", tmp_path, "http://127.0.0.1:9", pause=lambda _: None)
    with pytest.raises(FetchError, match="ConnectError"):
        gone.fetch("orcid", [LIN])
    assert list(tmp_path.iterdir()) == []


def test_the_command_fetches_and_brings_in(register: Register, settings: Settings, gloria: Gloria) -> None:
    record = next(path for path in (FILES / "orcid").iterdir() if path.suffix == ".json")
    register.answers[f"/orcid/{LIN}/record"] = record.read_bytes()
    where = {
        "home": settings.home,
        "database_url": settings.database_url,
        "registers_url": register.url,
    }
    asked = ("import", "--from", "orcid", "--fetch", LIN)
    assert gloria(*asked, **where).code == 1
    answer = gloria(*asked, "--contact", "office@gloria.example", "--json", **where)
    assert answer.code == 0, answer.err
    assert sum(one["created"] for one in answer.document["records"]) == 1
    assert gloria("import", "--fetch", LIN, **where).code == 2


def test_a_researchers_doi_is_looked_up_where_the_office_switched_it_on(register: Register, settings: Settings) -> None:
    register.answers["/crossref/works/10.5555/ice.1"] = {
        "message": {
            "DOI": "10.5555/ICE.1",
            "type": "journal-article",
            "title": ["Ice by sound"],
            "issued": {"date-parts": [[2021]]},
        }
    }
    register.answers["/datacite/dois/10.5555/data.2"] = {
        "data": {
            "id": "10.5555/data.2",
            "attributes": {"doi": "10.5555/data.2", "titles": [{"title": "Echoes"}], "publicationYear": 2023},
        }
    }
    on = {"look_up_dois": True, "mail_from": "office@gloria.example", "registers_url": register.url}
    with small_world(settings.model_copy(update=on)) as here:
        state = here.client.app.state  # type: ignore[attr-defined]
        state.look_ups = LookUps(state.settings, between_s=0)

        def added(doi: str, title: str = "") -> tuple[int, str]:
            work = {"doi": doi, "title": title}
            answer = here.ask("researcher", "POST", "/api/labs/lab-1/works", json={"work": work})
            return answer.status_code, str(answer.json().get("detail", answer.json().get("added")))

        assert [added("https://doi.org/10.5555/ice.1"), added("10.5555/data.2")] == [(201, "1"), (201, "1")]
        evidence = here.done("researcher", "GET", "/api/labs/lab-1")["evidence"]
        known = {one["doi"]: (one["kind"], one["title"], one["year"]) for one in evidence if one["doi"]}
        assert known["10.5555/ice.1"] == ("paper", "Ice by sound", 2021)
        assert known["10.5555/data.2"][1:] == ("Echoes", 2023)
        assert register.asked[0] == ("/crossref/works/10.5555/ice.1", "GLORIA-Match (mailto:office@gloria.example)")
        # What is known here, or typed with its title, nobody is asked for.
        asked = len(register.asked)
        assert [added("10.5555/ice.1"), added("10.5555/typed.3", "Typed")] == [(201, "0"), (201, "1")]
        assert len(register.asked) == asked
        status, why = added("10.5555/nobody.4")
        assert (status, why.partition(":")[0]) == (422, "neither Crossref nor DataCite has this DOI")
        register.refusals = [(500, {})]
        status, why = added("10.5555/later.5")
        assert (status, why.partition(":")[0]) == (503, "the DOI can't be looked up just now")
        # The control: switched off, as it is at first, nothing leaves.
        asked, state.settings = len(register.asked), settings
        status, why = added("10.5555/off.6")
        assert (status, "nothing is looked up elsewhere" in why, len(register.asked)) == (422, True, asked)
