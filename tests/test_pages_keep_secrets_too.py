"""The same telltales as over the API: no page shows anybody a secret that is not theirs, and no refusal quotes one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.settings import Settings
from tests.conftest import Databases
from tests.rig.servers.served import PEOPLE, page_routes_of, served
from tests.rig.worlds.planted_secrets import SECRETS, Search, telltale, told
from tests.test_secrets_stay_where_they_belong import Planted, Route, Tour, _leaks, _note, _paths

DRAFT = telltale("draft", len(SECRETS) + 1)


@pytest.fixture(scope="module")
def plant(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planted]:
    """A server after the history, on SQLite: pages ask the routes that are tested on both databases."""
    folder = tmp_path_factory.mktemp("secret-pages") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        history = told(server)
        place = server.ask("company", "POST", "/company/drafts").headers["location"]
        assert server.ask("company", "POST", place, data={"title": DRAFT}).status_code == 303
        yield Planted(server, history, Search({**history.words, "draft": [DRAFT]}))


def _looked_at(plant: Planted, who: str | None, routes: list[Route], ids: dict[str, list[str]]) -> Tour:
    tour = Tour()
    with plant.client(who) as client:
        for _, template, _ in routes:
            for path in _paths(template, ids):
                answer = client.get(path)
                assert answer.status_code < 500, f"{who} {path}: {answer.text[-500:]}"
                _note(tour, answer, f"GET {template}", plant.search)
    return tour


def test_pages_show_everybody_what_is_theirs_and_nothing_else(plant: Planted) -> None:
    routes = [route for route in page_routes_of() if route[0] == "GET" and route[2] is not None]
    known = plant.ids(routes)
    # What the history made, and what is not there: the rest of the slice holds no secrets.
    ids = {name: [*plant.history.ids.get(name, values[:1]), values[-1]] for name, values in known.items()}
    # Every figure is drilled into: each has entries of another shape.
    ids["kpi"] = known["kpi"]
    tours = {who: _looked_at(plant, who, routes, ids) for who in (*PEOPLE, None)}
    # A draft is its company's alone.
    assert [who for who, tour in tours.items() if tour.met.pop("draft", None)] == ["company"]
    assert [refusal for tour in tours.values() for refusal in tour.refusals] == []
    assert [leak for who, tour in tours.items() for leak in _leaks(who, tour)] == []
    # The control: by the same search its expert and its company find the need's text, and why others were let in.
    theirs = {"title", "consent", "breakreason"}
    assert {who: theirs - set(tours[who].met) for who in ("expert", "company")} == {"expert": set(), "company": set()}
    assert theirs <= set(SECRETS)
    print(f"{sum(tour.answers for tour in tours.values())} pages of {len(routes)} routes, {len(tours)} people")
