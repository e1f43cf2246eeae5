"""A server that is killed and started again while experts accept keeps every accept, each once, on both databases."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from fixtures import world_path
from indexer.settings import Settings
from tests.conftest import Databases
from tests.rig.figures import figure
from tests.rig.load.decisions import Pair, pairs_in
from tests.rig.servers.killed_server import Stored, Told, killed_again_and_again, stored
from tests.rig.servers.served import fill

LONG = pytest.mark.long


def _world(databases: Databases, kind: str, tmp_path: Path, accepts: int) -> tuple[Settings, str, list[Pair]]:
    """Return a database with pairings that wait, and the key of an expert who may accept them."""
    home = tmp_path / "home"
    settings = Settings(home=home, database_url=databases.at_head(kind, home), encoders="bundled-use")
    home.mkdir(exist_ok=True)
    keys, accounts = fill(settings, world_path())
    return settings, keys["expert"], pairs_in(settings, accounts["expert"], accepts)


def _wrong(told: Told, kept: Stored, pairs: list[Pair]) -> list[str]:
    """Return what is not as it must be, in words."""
    asked = {pairing_id for pairing_id, _ in pairs}
    return [
        *([f"not answered with 201: {dict(told.other)}"] if told.other else []),
        *([f"{len(told.decisions)} told of {len(asked)}"] if told.decisions.keys() != asked else []),
        *([f"told otherwise: {told.decisions.items() ^ kept.decisions.items()}"] * (told.decisions != kept.decisions)),
        *([f"{kept.cases} cases"] if kept.cases != len(asked) else []),
        *([f"{kept.entries} entries"] if kept.entries != len(asked) else []),
        *kept.problems,
    ]


@pytest.mark.parametrize(
    ("kind", "kills", "accepts", "workers"),
    [
        ("sqlite", 2, 150, 1),
        pytest.param("sqlite", 20, 4_000, 1, marks=LONG),
        pytest.param("postgresql", 20, 4_000, 1, marks=LONG),
        pytest.param("sqlite", 3, 600, 2, marks=LONG),
        pytest.param("postgresql", 3, 600, 2, marks=LONG),
    ],
)
def test_every_accept_is_stored_once(
    kind: str, kills: int, accepts: int, workers: int, databases: Databases, tmp_path: Path
) -> None:
    settings, key, pairs = _world(databases, kind, tmp_path, accepts)
    assert len(pairs) == accepts
    told = killed_again_and_again(settings, key, pairs, kills=kills, chance=Random(9), workers=workers)
    kept = stored(settings)
    assert _wrong(told, kept, pairs) == []
    if kills >= 20:
        # Accepts that were stored when their answer was lost: without the keys they would have been refused.
        assert told.replays >= 1
    figure(
        f"kill -9 of the API, {kind}, {workers} worker{'s' * (workers > 1)}",
        kills=kills,
        accepts=len(told.decisions),
        entries=kept.entries,
        retries=told.retries,
        answers_lost_and_given_again=told.replays,
    )


def test_a_server_that_answers_too_early_is_found(databases: Databases, tmp_path: Path) -> None:
    settings, key, pairs = _world(databases, "sqlite", tmp_path, 60)
    told = killed_again_and_again(
        settings, key, pairs, kills=1, chance=Random(9), program="tests.rig.servers.forgetful_server"
    )
    kept = stored(settings)
    assert told.decisions.keys() - kept.decisions.keys() != set()
    assert _wrong(told, kept, pairs) != []


@LONG
def test_clients_that_make_a_new_key_each_time_are_found(databases: Databases, tmp_path: Path) -> None:
    settings, key, pairs = _world(databases, "sqlite", tmp_path, 2_000)
    told = killed_again_and_again(settings, key, pairs, kills=10, chance=Random(9), careless=True)
    assert set(told.other) == {409}
    # What they were not told is stored all the same.
    assert _wrong(told, stored(settings), pairs) != []
    assert stored(settings).entries == len(pairs)
