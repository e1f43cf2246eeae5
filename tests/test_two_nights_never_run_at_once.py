"""A start while a night is at work says who is at it and leaves everything as it was."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from api.trail.nights import LOCK, nights_path, read_nights, who_is_at_it
from indexer.disk import HeldError, exclusive_now, holder
from tests.conftest import Gloria
from tests.rig.worlds.nights import carried_out, commanded, only, settings_of


def _contents(home: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(home)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(home.rglob("*"))
        if path.is_file()
    }


def test_the_second_start_says_so_and_leaves(gloria: Gloria, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with exclusive_now(nights_path(own_home) / LOCK):
        before = _contents(own_home)
        answer = gloria("nightly", home=own_home, lang="en")
        assert (answer.code, answer.out) == (0, "")
        assert f"a night is at work already (process {os.getpid()}, since 20" in answer.err
        told = commanded(own_home, monkeypatch, "--json")
        assert (told.code, told.document["already_running"], told.document["process"]) == (0, True, os.getpid())
        assert _contents(own_home) == before
        # One that has been at it for half a day hangs, and somebody must hear of that.
        since = datetime.now(UTC) - timedelta(hours=13)
        (nights_path(own_home) / LOCK).write_text(f"{os.getpid()} {since.isoformat()}\n")
        assert commanded(own_home, monkeypatch).code == 1
    # The control: once it is free, a night is carried out.
    assert carried_out(settings_of(own_home), only("verify")).finished_at is not None


def test_of_many_starts_at_once_one_is_carried_out(own_home: Path) -> None:
    settings = settings_of(own_home)
    together = threading.Barrier(6)
    outcomes: list[str] = []

    def start() -> None:
        together.wait()
        try:
            carried_out(settings, only("verify", "reminders"), fresh=True)
            outcomes.append("done")
        except HeldError as error:
            outcomes.append(f"held by {error.holder.process}")

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Whoever comes after the first has ended carries out one of its own: none was at it at the same time.
    assert outcomes.count("done") == len(read_nights(own_home)) >= 1
    assert all(night.finished_at is not None for night in read_nights(own_home))
    spans = sorted((night.starts[0], night.finished_at) for night in read_nights(own_home) if night.finished_at)
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))


def test_who_holds_the_lock_is_known_while_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "nightly" / LOCK
    assert holder(path) is None
    with exclusive_now(path):
        held = holder(path)
        assert held is not None
        assert held.process == os.getpid()
        assert held.since is not None
        with pytest.raises(HeldError), exclusive_now(path, patience_s=0):
            pass
        path.write_text("torn")
        assert holder(path) == type(held)(None, None)
    assert holder(path) is None
    assert who_is_at_it(tmp_path) is None
