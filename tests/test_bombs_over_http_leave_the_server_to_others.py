"""A bomb sent to the server fails its own job in words; the server lives and answers others meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.requests.capacity import MAX_FILE_BYTES
from indexer.settings import Settings
from tests.rig.faults import damaged_files
from tests.rig.figures import figure
from tests.rig.servers.served import Served, served
from tests.rig.servers.served_work import job_of, upload

PATIENCE_S = 120.0
LIMIT_MB = 512.0
MOST_S_FOR_OTHERS = 5.0
SENT = (
    *(
        damaged_files.of_laughs,
        damaged_files.of_far_cells,
        damaged_files.of_empty_elements,
        damaged_files.of_shared_texts,
        damaged_files.of_many_parts,
    ),
    *(
        damaged_files.of_empty_objects,
        damaged_files.of_a_cell_within,
        damaged_files.of_small_cells,
        damaged_files.of_unknown_fields,
    ),
)

pytestmark = pytest.mark.long


def _memory_mb(server: Served, which: str) -> float:
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(which))
    return int(line.split()[1]) / 1e3


@contextmanager
def _memory_noted(server: Served, taken_mb: list[float]) -> Iterator[None]:
    """Note how much more memory than before the server had at its most."""
    before = _memory_mb(server, "VmRSS")
    # 5 lets the kernel forget the peak so far.
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    yield
    taken_mb.append(_memory_mb(server, "VmHWM") - before)


def _watched(server: Served, job_id: str) -> tuple[dict[str, Any], float]:
    """Wait for a job while others ask; return it and the longest that another waited."""
    longest, last = 0.0, time.monotonic() + PATIENCE_S
    while time.monotonic() < last:
        begun = time.monotonic()
        assert server.ask("lead", "GET", "/api/queue").status_code == 200
        longest = max(longest, time.monotonic() - begun)
        job: dict[str, Any] = server.ask("expert", "GET", f"/api/jobs/{job_id}").json()
        if job["state"] not in ("queued", "running"):
            return job, longest
        time.sleep(0.02)
    raise AssertionError(f"still {job}")


def test_bombs_over_http(tmp_path: Path, indexed_home: Path, slice_of_world: Path) -> None:
    settings = Settings(home=tmp_path / "home", encoders="bundled-use", database_url="")
    with served(settings, indexed_home, slice_of_world) as server:
        assert server.ask("lead", "GET", "/api/queue").status_code == 200
        waited, taken_mb = 0.0, list[float]()
        for bomb in SENT:
            folder = tmp_path / bomb.__name__
            folder.mkdir()
            path, words = bomb(folder)
            content = path.read_bytes()
            path.unlink()
            assert len(content) <= MAX_FILE_BYTES
            with _memory_noted(server, taken_mb):
                job, longest = _watched(server, job_of(upload(server, "expert", path.name, content)))
            waited = max(waited, longest)
            assert job["state"] == "done", (bomb.__name__, job)
            result = server.ask("expert", "GET", f"/api/jobs/{job['id']}/result").json()
            told = " ".join(f"{problem['field']}: {problem['wrong']}" for problem in result["problems"])
            assert (result["created"], words in told) == (0, True), (bomb.__name__, told[:500])
        assert server.process.poll() is None
        # The control: the server still imports what is good.
        good = b'{"id": "c-good", "name": "n"}\n'
        job, _ = _watched(server, job_of(upload(server, "expert", "companies.jsonl", good)))
        assert server.ask("expert", "GET", f"/api/jobs/{job['id']}/result").json()["created"] == 1
        log = server.log.read_text()
    assert "Traceback" not in log
    most = max(taken_mb)
    assert (waited < MOST_S_FOR_OTHERS, most < LIMIT_MB) == (True, True), (waited, taken_mb)
    figure("import bombs over HTTP", bombs=len(SENT), others_waited_s=round(waited, 2), most_more_mb=round(most))
