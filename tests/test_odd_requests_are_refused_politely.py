"""Whatever is sent, the server answers below 500, and a refusal is a problem that does not repeat what was sent."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from indexer.settings import Settings
from tests.serving import Served, served

JSON = {"Content-Type": "application/json"}
Request = tuple[str, str, str, bytes | None, dict[str, str]]

BAD_VALUES = {
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "2^63": b"9223372036854775808",
    "10^400": b"1" + b"0" * 400,
    "minus one": b"-1",
    "half": b"0.5",
    "true": b"true",
    "null": b"null",
    "object": b"{}",
    "nested lists": b"[" * 500 + b"]" * 500,
    "lone surrogate": b'"\\ud800"',
    "NUL": b'"\\u0000"',
    "right to left": b'"\\u202eabc"',
    "formula": b'"=HYPERLINK(\\"http://x\\")"',
    "quote": b'"\'; DROP TABLE need; --"',
    "long": b'"' + b"a" * 200_000 + b'"',
    "10 MB": b'"' + b"a" * 10_000_000 + b'"',
    "not UTF-8": b'"\xff\xfe"',
    "cut off": b'"',
}
FIELDS = {
    "/api/needs": ("title", "budget_ntd", "deadline", "asks"),
    "/api/pairings/1/decision": ("verdict", "proposal_id"),
    "/api/cases/1/contacts": ("held_on",),
}
PATHS = {
    "2^63 in the path": "/api/pairings/9223372036854775808",
    "text in the path": "/api/pairings/abc",
    "minus in the path": "/api/cases/-1",
    "digits of another script": "/api/cases/%D9%A1",
    "NUL in the path": "/api/needs/%00",
    "not UTF-8 in the path": "/api/needs/%ff%fe",
    "a surrogate in the path": "/api/needs/%ed%a0%80",
    "a long path": "/api/needs/" + "a" * 20_000,
    "dots in the path": "/api/needs/../../etc/passwd",
    "a bad cursor": "/api/needs?cursor=%25%25",
    "a cursor of another kind": "/api/cases?cursor=WyJhIl0",
    "a huge cursor": "/api/cases?cursor=WzFlNDAwXQ",
    "a cursor with NUL": "/api/needs?cursor=WyJcdTAwMDAiXQ",
    "limit 0": "/api/needs?limit=0",
    "limit 10^30": "/api/needs?limit=" + "1" + "0" * 30,
    "an unknown state": "/api/needs?state=asleep",
    "NUL in a query": "/api/labs?q=%00",
    "a surrogate in a query": "/api/labs?q=%ed%a0%80",
    "only marks in a query": "/api/labs?q=%F0%9F%98%80%CC%81",
    "an unknown field": "/api/needs/need-1-01/matches?field=astrology",
    "an unknown school": "/api/needs/need-1-01/matches?school=%00",
    "top 0": "/api/needs/need-1-01/matches?top=0",
    "far offset": "/api/needs/need-1-01/matches?offset=100000",
    "silent for ever": "/api/queue?silent_days=99999999999999999999",
}
HEADERS: dict[str, dict[str, str]] = {
    "an endless If-Match": {"If-Match": '"' + "a" * 5_000},
    "a blank key": {"Idempotency-Key": " "},
    "a long key": {"Idempotency-Key": "k" * 201},
    "a key in Latin-1": {"Idempotency-Key": "\xe9"},
    "no scheme": {"Authorization": "nothing"},
    "a key of nobody": {"Authorization": "Bearer glm_0_0"},
    "a Latin-1 key": {"Authorization": "Bearer \xe9\xe9"},
    "a broken cookie": {"Authorization": "", "Cookie": "__Host-gloria=\xe9; =;;"},
    "another media type": {"Content-Type": "text/plain"},
    "an invalid length": {"Content-Length": "999999999999"},
}


def _requests() -> Iterator[Request]:
    for path, fields in FIELDS.items():
        for field in fields:
            for name, value in BAD_VALUES.items():
                yield f"{name} as {field}", "POST", path, b'{"%s": %s}' % (field.encode(), value), JSON
        for name, body in (("no body", b""), ("a list", b"[]"), ("twice", b'{"title":"a","title":"b"}')):
            yield f"{name} to {path}", "POST", path, body, JSON
    for name, path in PATHS.items():
        yield name, "GET", path, None, {}
    for name, headers in HEADERS.items():
        yield name, "POST", "/api/needs", b'{"title": "a"}', {**JSON, **headers}
    for method in ("TRACE", "PROPFIND", "PUT", "OPTIONS", "HEAD"):
        yield f"{method} on needs", method, "/api/needs", None, {}


def _sent(server: Served, request: Request) -> tuple[int, bytes]:
    _, method, path, body, headers = request
    host = urlsplit(server.url).netloc
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        # The server may answer before it has read everything; the answer is there all the same.
        with suppress(BrokenPipeError, ConnectionResetError):
            given = {"Authorization": f"Bearer {server.keys['expert']}", **headers}
            connection.request(method, path, body, {name: value for name, value in given.items() if value})
        try:
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (ConnectionResetError, http.client.RemoteDisconnected):
            return 413, b"{}"
    finally:
        connection.close()


def _wrong(status: int, content: bytes) -> bool:
    if status >= 500 or not content:
        return status >= 500
    if status < 400:
        return False
    try:
        document = json.loads(content)
    except ValueError:
        # Refused by the HTTP parser itself, before there is a request.
        return status != 400
    return document != {} and sorted(document) != ["detail", "field", "title", "type"]


def test_odd_requests(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    requests = list(_requests())
    assert len(requests) >= 60
    with served(settings, indexed_home, slice_of_world) as server:
        answers = {request[0]: _sent(server, request) for request in requests}
        wrong = {name: answer for name, answer in answers.items() if _wrong(*answer)}
        assert server.ask("expert", "GET", "/api/me").status_code == 200
        faults = [line for line in server.log.read_text().splitlines() if '"level": "error"' in line]
    assert (wrong, faults) == ({}, [])
    # The control: a fault would be seen.
    assert _wrong(500, b'{"type":"","title":"","detail":"","field":null}')
    assert _wrong(422, b'{"detail":[{"input":"what was sent"}]}')
