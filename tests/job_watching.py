"""What tests of jobs share: files of many records, waiting for a state, listening to the events."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.serving import Served

PATIENCE_S = 60.0


def companies(n: int, prefix: str = "new") -> bytes:
    """A JSONL file of so many companies."""
    rows = ({"id": f"{prefix}-{i:05}", "name": f"公司 {i}", "fields": ["智慧製造"]} for i in range(n))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def upload(server: Served, who: str, name: str, content: bytes, **parameters: Any) -> httpx.Response:
    """Ask for an import."""
    return server.ask(who, "POST", "/api/imports", params={"name": name, **parameters}, content=content)


def job_of(answer: httpx.Response) -> str:
    """The id of the job that was accepted."""
    assert answer.status_code == 202, answer.text
    job_id = str(answer.json()["id"])
    assert answer.headers["Location"] == f"/api/jobs/{job_id}"
    return job_id


def until(server: Served, who: str, job_id: str, *states: str) -> dict[str, Any]:
    """Wait until a job is in one of the states."""
    last = time.monotonic() + PATIENCE_S
    while time.monotonic() < last:
        job: dict[str, Any] = server.ask(who, "GET", f"/api/jobs/{job_id}").json()
        if job["state"] in states:
            return job
        time.sleep(0.05)
    raise AssertionError(f"still {job}")


def ended(server: Served, who: str, job_id: str) -> dict[str, Any]:
    """Wait until a job is finished, as it should be."""
    job = until(server, who, job_id, "done", "failed", "cancelled")
    assert job["state"] == "done", job
    return job


def result_of(server: Served, who: str, job_id: str) -> dict[str, Any]:
    """Wait for a job's result."""
    ended(server, who, job_id)
    answer = server.ask(who, "GET", f"/api/jobs/{job_id}/result")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


@contextmanager
def listening(server: Served, who: str, job_id: str, **headers: str) -> Iterator[Iterator[dict[str, str]]]:
    """Listen to a job's events; what comes over the wire is read as a browser would."""
    headers["Authorization"] = f"Bearer {server.keys[who]}"
    url = f"{server.url}/api/jobs/{job_id}/events"
    with httpx.stream("GET", url, headers=headers, timeout=60) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield _events(answer)


def _events(answer: httpx.Response) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    for line in answer.iter_lines():
        if not line:
            if event:
                yield event
            event = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            event[name] = value
