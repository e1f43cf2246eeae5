"""Every process of a server notices a new index by itself within five seconds, asked or not, and answers with it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlmodel import Session

from indexer.database import open_engine, writing
from indexer.index.building import reindex
from indexer.records.importing import import_rows
from indexer.settings import Settings
from indexer.vocabulary import Kind
from tests.rig.figures import figure
from tests.rig.servers.served import Served, served
from tests.rig.servers.served_here import until

WITHIN_S = 5.0
WORKERS = 2
_IN_A_ROW = 24
"""Answers of one generation after which no process can have been left out: each takes half of the connections."""


def _generation(server: Served) -> Any:
    # A connection of its own each time, so that all processes get some; asking this makes none of them look.
    answer = server.ask(None, "GET", "/readyz", headers={"Connection": "close"})
    return answer.json()["index"]["generation"]


def _all_have(server: Served, generation: str) -> bool:
    return all(_generation(server) == generation for _ in range(_IN_A_ROW))


def _new_index(settings: Settings, records: Path, number: int) -> str:
    lab = orjson.loads((records / "labs.jsonl").read_bytes().splitlines()[0])
    engine = open_engine(settings)
    try:
        with writing(engine) as session:
            import_rows(session, Kind.LABS, [lab | {"summary": f"{lab['summary']} 第 {number} 版。"}])
        with Session(engine) as session:
            return reindex(session, settings).generation
    finally:
        engine.dispose()


@pytest.mark.alone
def test_two_processes_that_nobody_asks(tmp_path: Path, indexed_home: Path, slice_of_world: Path) -> None:
    settings = Settings(home=tmp_path / "home", cache=indexed_home, encoders="bundled-use", database_url="")
    with served(settings, indexed_home, slice_of_world, workers=WORKERS) as server:
        until(lambda: _generation(server) is not None and _all_have(server, _generation(server)))
        slowest_s = 0.0
        for number in range(2):
            made = _new_index(settings, slice_of_world, number)
            began = time.monotonic()
            until(lambda made=made: _all_have(server, made))
            slowest_s = max(slowest_s, time.monotonic() - began)
        figure("new index taken over by every process", processes=WORKERS, slowest_s=round(slowest_s, 1))
        assert slowest_s < WITHIN_S
