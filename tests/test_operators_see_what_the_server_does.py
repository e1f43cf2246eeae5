"""Health, readiness per function, metrics over all workers, safe headers, one log line per request, a clean end."""

from __future__ import annotations

import json
import re
import shutil
import signal
from pathlib import Path

import httpx
from sqlalchemy import text

from api.app import OPEN_ROUTES
from indexer.database import open_engine, writing
from indexer.settings import Settings
from tests.conftest import Gloria
from tests.rig.servers.served import Served, page_routes_of, routes_of, served
from tests.rig.servers.served_here import until


def _sqlite(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", encoders="bundled-use", database_url="")


def _counted(server: Served, route: str) -> float:
    lines = httpx.get(server.url + "/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("gloria_requests_total{") and f'route="{route}"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in found)


def test_two_workers_add_up_their_figures(tmp_path: Path, indexed_home: Path, slice_of_world: Path) -> None:
    with served(_sqlite(tmp_path), indexed_home, slice_of_world, workers=2, afresh=True) as server:
        before = _counted(server, "/api/me")
        for _ in range(40):
            # A connection of its own each time, so that both workers get some.
            assert server.ask("expert", "GET", "/api/me").status_code == 200
        assert _counted(server, "/api/me") == before + 40


def test_one_server_as_its_operator_sees_it(tmp_path: Path, indexed_home: Path, slice_of_world: Path) -> None:
    with served(_sqlite(tmp_path), indexed_home, slice_of_world) as server:
        assert httpx.get(server.url + "/healthz").json() == {"status": "ok"}
        ready = httpx.get(server.url + "/readyz")
        assert ready.status_code == 200
        assert (ready.json()["intake"], ready.json()["review"]) == (True, True)
        assert server.ask("expert", "GET", "/api/needs/need-1-01/matches").status_code == 200
        assert httpx.get(server.url + "/readyz").json()["matching"] is True
        answer = server.ask("expert", "GET", "/api/me", headers={"X-Request-ID": "my-request-1"})
        assert answer.headers["X-Request-ID"] == "my-request-1"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert "server" not in answer.headers
        # The line is written after the answer was sent.
        until(lambda: "my-request-1" in server.log.read_text())
        lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
        (line,) = [line for line in lines if line["request_id"] == "my-request-1"]
        expected = {"method": "GET", "route": "/api/me", "status": 200, "account": server.accounts["expert"]}
        assert {name: line[name] for name in expected} == expected
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=30) in (0, -signal.SIGTERM)


def test_without_an_index_everything_but_matching_goes_on(
    tmp_path: Path, indexed_home: Path, slice_of_world: Path
) -> None:
    empty = tmp_path / "no-index"
    shutil.copytree(indexed_home, empty, ignore=shutil.ignore_patterns("index"))
    with served(_sqlite(tmp_path), empty, slice_of_world) as server:
        refused = server.ask("expert", "GET", "/api/needs/need-1-01/matches")
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:gloria:problem:no-index")
        assert int(refused.headers["Retry-After"]) >= 1
        assert str(tmp_path) not in refused.text
        assert server.ask("company", "POST", "/api/needs", json={"title": "新需求"}).status_code == 201
        ready = httpx.get(server.url + "/readyz")
        assert (ready.status_code, ready.json()["intake"], ready.json()["matching"]) == (200, True, False)


def test_a_port_that_is_taken_is_said_in_one_line(
    tmp_path: Path, indexed_home: Path, slice_of_world: Path, gloria: Gloria
) -> None:
    with served(_sqlite(tmp_path), indexed_home, slice_of_world) as server:
        port = server.url.rpartition(":")[2]
        answer = gloria("serve", "--port", port, home=tmp_path / "other", lang="en")
    assert answer.code == 1
    assert re.fullmatch(rf"can't listen on 127\.0\.0\.1:{port}: .*; choose another --port", answer.err.strip())


def test_a_database_of_a_newer_release_is_refused(tmp_path: Path, gloria: Gloria) -> None:
    settings = _sqlite(tmp_path)
    engine = open_engine(settings)
    with writing(engine) as session:
        session.connection().execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    answer = gloria("serve", "--port", "0", home=settings.home, lang="en")
    assert answer.code == 1
    assert "newer release" in answer.err


def test_every_route_is_open_on_purpose_or_names_a_permission(tmp_path: Path) -> None:
    routes = routes_of()
    assert len(routes) > 25
    routes += page_routes_of()
    assert {(method, path) for method, path, permission in routes if permission is None} == OPEN_ROUTES
