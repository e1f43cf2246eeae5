"""Whatever is sent, the server answers below 500, and a refusal is a problem that does not repeat what was sent."""

from __future__ import annotations

import http.client
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import BaseModel, ValidationError
from starlette.testclient import TestClient

from api.documents import bodies, ledger_bodies
from api.routes.shortlists import handed_out
from indexer.settings import Settings
from matcher.ledger.figures import alliance_targets, forecast, gender, subsidy, sufficiency, warnings
from matcher.ledger.rules import recognition, targets
from matcher.ledger.rules.configuration import TakesNoYesForANumber
from tests.conftest import POSTGRESQL_AT_LENGTH
from tests.rig.servers.served import Served, served
from tests.rig.servers.warmed_application import application

JSON = {"Content-Type": "application/json"}
PROBLEM = ["detail", "field", "title", "type"]
Request = tuple[str, str, str, bytes | None, dict[str, str]]
Answer = tuple[int, str, bytes]
"""Status, media type and content."""
CUT_OFF: Answer = (0, "", b"the connection was closed without an answer")
HANGS: Answer = (0, "", b"no answer in time")

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
    "2^31 in the path": "/api/pairings/2147483648",
    "2^62 in the path": "/api/cases/4611686018427387904",
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
                yield f"{name} as {field} of {path}", "POST", path, b'{"%s": %s}' % (field.encode(), value), JSON
        for name, body in (("no body", b""), ("a list", b"[]"), ("a key twice", b'{"title":"a","title":"b"}')):
            yield f"{name} to {path}", "POST", path, body, JSON
    for name, path in PATHS.items():
        yield name, "GET", path, None, {}
    for name, headers in HEADERS.items():
        yield name, "POST", "/api/needs", b'{"title": "a"}', {**JSON, **headers}
    for method in ("TRACE", "PROPFIND", "PUT", "OPTIONS", "HEAD"):
        yield f"{method} on needs", method, "/api/needs", None, {}


def _more_requests() -> Iterator[Request]:
    """Yield what has no field to blame: media types, encodings, preconditions, keys, the sign-in."""
    need, edit, session = b'{"title": "a"}', b'{"budget_ntd": 5}', "/api/session"
    for media in (
        "text/plain",
        "multipart/form-data",
        "application/x-www-form-urlencoded",
        "\xe9",
        "application/xml; a",
    ):
        yield f"as {media!r}", "POST", "/api/needs", need, {"Content-Type": media}
    for coding in ("gzip", "br", "identity, gzip"):
        yield f"{coding} that is none", "POST", "/api/needs", need, {**JSON, "Content-Encoding": coding}
    for given in ("", " ", "W/", '"', "*, *", '"a", "b"', "\xff" * 50):
        yield f"If-Match {given!r}", "PATCH", "/api/needs/need-1-01", edit, {**JSON, "If-Match": given}
        yield (
            f"If-Match {given!r} of a case",
            "POST",
            "/api/cases/1/transition",
            b'{"stage":"meeting"}',
            {"If-Match": given},
        )
    for key in ("\t", "\x7f", "k" * 60_000):
        yield f"key {key[:9]!r}", "POST", "/api/needs", need, {**JSON, "Idempotency-Key": key}
    for word in ("Bearer", "Bearer  ", "Basic \xff", "Digest a=b", "Bearer " + "a" * 50_000, "\t"):
        yield f"Authorization {word[:12]!r}", "GET", "/api/me", None, {"Authorization": word}
    for name, body in (
        ("a surrogate", rb'{"email":"\ud800","password":"\udfff"}'),
        ("NUL", rb'{"email":"a\u0000@b.c","password":"\u0000"}'),
        ("numbers", b'{"email":1,"password":2}'),
        ("a long password", b'{"email":"a@b.c","password":"' + b"p" * 100_000 + b'"}'),
    ):
        yield f"sign-in with {name}", "POST", session, body, JSON
    yield "signing out of nothing", "DELETE", session, None, {"Cookie": "__Host-gloria=" + "x" * 9_000}
    yield "both BOM and body", "POST", "/api/needs", b"\xef\xbb\xbf" + need, JSON
    yield "UTF-16", "POST", "/api/needs", need.decode().encode("utf-16"), JSON
    yield "two documents", "POST", "/api/needs", need + need, JSON
    yield "very deep", "POST", "/api/needs", b'{"asks":' * 100_000, JSON


RAW = {
    "chunks over the limit": b"POST /api/needs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n%s"
    b"Transfer-Encoding: chunked\r\n\r\n" + (b"100000\r\n" + b"a" * 0x100000 + b"\r\n") * 6 + b"0\r\n\r\n",
    "a chunk of no size": b"POST /api/needs HTTP/1.1\r\nHost: a\r\n%sTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "two lengths": b"POST /api/needs HTTP/1.1\r\nHost: a\r\n%sContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "length and chunks": b"POST /api/needs HTTP/1.1\r\nHost: a\r\n%sContent-Length: 2\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length in words": b"POST /api/needs HTTP/1.1\r\nHost: a\r\n%sContent-Length: many\r\n\r\n",
    "a method of nobody": b"FROB /api/needs HTTP/1.1\r\nHost: a\r\n%s\r\n",
    "a header without a name": b"GET /api/me HTTP/1.1\r\nHost: a\r\n%s: a\r\n\r\n",
    "a header with NUL": b"GET /api/me HTTP/1.1\r\nHost: a\r\n%sX-A: \0\r\n\r\n",
    "per cent of nothing": b"GET /api/needs/%%zz%%%%? HTTP/1.1\r\nHost: a\r\n%s\r\n",
    "bytes in the path": b"GET /api/needs/\xff\xfe HTTP/1.1\r\nHost: a\r\n%s\r\n",
    "another protocol": b"GET / GOPHER/9\r\n%s\r\n",
    "no request at all": b"\x16\x03\x01\x02\x00\x01\x00\r\n%s\r\n\r\n",
    "the whole address": b"GET http://[::1/api/me HTTP/1.1\r\nHost: a\r\n%s\r\n",
    "a host of garbage": b"GET /api/me HTTP/1.1\r\nHost: [\xff]:-1\r\n%s\r\n",
    "two hosts": b"GET /api/me HTTP/1.1\r\nHost: a\r\nHost: b\r\n%s\r\n",
    "two authorizations": b"GET /api/me HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n%s\r\n",
}
"""What no HTTP library sends; %s is where the expert's key goes."""


def _sent(server: Served, request: Request) -> Answer:
    _, method, path, body, headers = request
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        # The server may answer before it has read everything; the answer is there all the same.
        with suppress(BrokenPipeError, ConnectionResetError):
            given = {"Authorization": f"Bearer {server.keys['expert']}", **headers}
            connection.request(method, path, body, {name: value for name, value in given.items() if value})
        return _received(connection, method)
    finally:
        connection.close()


def _sent_raw(server: Served, content: bytes) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    connection.connect()
    try:
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sock.sendall(content % f"Authorization: Bearer {server.keys['expert']}\r\n".encode())
        answer = http.client.HTTPResponse(connection.sock)
        return _read(answer)
    finally:
        connection.close()


def _received(connection: http.client.HTTPConnection, method: str) -> Answer:
    if connection.sock is None:
        return CUT_OFF
    answer = http.client.HTTPResponse(connection.sock, method=method)
    return _read(answer)


def _read(answer: http.client.HTTPResponse) -> Answer:
    try:
        answer.begin()
        return answer.status, answer.headers.get("Content-Type", ""), answer.read()
    except TimeoutError:
        return HANGS
    except (ConnectionResetError, http.client.HTTPException):
        return CUT_OFF


def _wrong(answer: Answer) -> bool:
    status, media_type, content = answer
    if status < 100 or status >= 500:
        return True
    if status < 400 or not content:
        return False
    if (status, media_type) == (400, "text/plain; charset=utf-8"):
        # Refused by the HTTP parser itself, before there is a request.
        return content != b"Invalid HTTP request received."
    try:
        document = json.loads(content)
    except ValueError:
        return True
    said = [document[name] for name in ("type", "title", "detail")] if sorted(document) == PROBLEM else [None]
    return media_type != "application/problem+json" or not all(isinstance(text, str) and text for text in said)


@POSTGRESQL_AT_LENGTH
def test_odd_requests(settings: Settings, indexed_home: Path, slice_of_world: Path) -> None:
    requests = [*_requests(), *_more_requests()]
    names = [request[0] for request in requests] + list(RAW)
    assert len(names) == len(set(names))
    assert len(names) >= 60
    with served(settings, indexed_home, slice_of_world) as server:
        answers = {request[0]: _sent(server, request) for request in requests}
        answers |= {name: _sent_raw(server, content) for name, content in RAW.items()}
        wrong = {name: answer for name, answer in answers.items() if _wrong(answer)}
        assert server.ask("expert", "GET", "/api/me").status_code == 200
        faults = [line for line in server.log.read_text().splitlines() if '"level": "error"' in line]
    print(f"{len(answers)} odd requests: {dict(Counter(answer[0] for answer in answers.values()))}")
    assert (wrong, faults) == ({}, [])


def test_the_control_sees_a_route_that_breaks(tmp_path: Path) -> None:
    app = application(Settings(home=tmp_path))

    @app.get("/api/broken")
    async def broken() -> None:
        raise RuntimeError("planted")

    # Not entered: nothing is to be warmed up in the background.
    client = TestClient(app, raise_server_exceptions=False)
    seen = {}
    for path in ("/api/broken", "/api/me", "/healthz"):
        answer = client.get(path)
        seen[path] = (
            answer.status_code,
            _wrong((answer.status_code, answer.headers["Content-Type"], answer.content)),
        )
    app.state.engine.dispose()
    assert seen == {"/api/broken": (500, True), "/api/me": (401, False), "/healthz": (200, False)}
    # What is no problem, what repeats the request, and what was not answered are seen too.
    assert _wrong((422, "application/problem+json", b'{"detail":[{"input":"what was sent"}]}'))
    assert _wrong((422, "application/json", b'{"type":"a","title":"b","detail":"c","field":null}'))
    assert (_wrong(CUT_OFF), _wrong(HANGS)) == (True, True)


def _bodies() -> list[type[BaseModel]]:
    """Return what clients may send and the office may set: every model of either that has a field for a number."""
    modules = (bodies, handed_out, ledger_bodies, alliance_targets, forecast, gender, subsidy, sufficiency, warnings)
    named = [one for module in (*modules, recognition, targets) for one in vars(module).values()]
    found = {one for one in named if isinstance(one, type) and issubclass(one, BaseModel)}
    sent = {one for one in found if one.__name__.endswith("Body") or issubclass(one, TakesNoYesForANumber)}
    return sorted(sent, key=lambda one: (one.__module__, one.__name__))


def test_true_is_no_number_in_any_body() -> None:
    tried = 0
    for model in _bodies():
        for name, field in model.model_fields.items():
            words = str(field.annotation)
            if not re.search(r"\b(int|float)\b", words) or re.search(r"\b(bool|list|dict|tuple|Any)\b", words):
                continue
            for given in (True, False):
                with pytest.raises(ValidationError) as refused:
                    model.model_validate({name: given})
                said = [one for one in refused.value.errors() if one["loc"] == (name,)]
                assert (model.__name__, name, len(said)) == (model.__name__, name, 1)
            tried += 1
    assert tried > 40
    # A text is no amount of money either, except in a form, which has nothing else.
    part = {"due_on": "2027-06-30", "amount_ntd": "450000"}
    with pytest.raises(ValidationError):
        bodies.InstalmentBody.model_validate(part)
    assert bodies.InstalmentBody.model_validate(part, context={"form": True}).amount_ntd == 450_000
