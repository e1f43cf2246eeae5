"""A server follows edits without reading the other records, and marks what its index lacks until that is taken in.

Taking in is switched off here, so that the seconds before it last as long as a test needs
(`test_new_labs_are_matchable_within_seconds` has it on).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete
from sqlmodel import Session, col

from indexer.database import writing
from indexer.records.profiles import Lab, Need
from indexer.records.record_tables import Change, Evidence, load_labs, note_changes
from indexer.records.record_tables import Lab as StoredLab
from indexer.settings import Settings
from indexer.vocabulary import Kind
from matcher.ranking.opened.live import LiveMatcher
from tests.rig.servers.served_here import Home, build_home, until_used

pytestmark = pytest.mark.postgresql_at_length


@pytest.fixture
def home(settings: Settings, engine: Engine, slice_of_world: Path, indexed_home: Path) -> Home:
    return build_home(settings, engine, slice_of_world, indexed_home)


@pytest.fixture
def live(home: Home) -> Iterator[LiveMatcher]:
    live = LiveMatcher(home.settings, home.engine, check_every_s=0, takes_in=False)
    yield live
    live.close()


def _marked(live: LiveMatcher, need: Need) -> list[str]:
    return [p.lab_id for p in live.current().match(need, top=1000).pairings if p.changed_since_index]


def _shown(live: LiveMatcher, need: Need) -> list[str]:
    return [p.lab_id for p in live.current().match(need, top=1000).pairings]


def test_a_changed_profile_is_marked_until_the_index_has_it(home: Home, live: LiveMatcher) -> None:
    assert _marked(live, home.need) == []
    first = _shown(live, home.need)[0]
    home.store(Kind.LABS, home.lab(first) | {"summary": "改做質子交換膜。"})
    assert _marked(live, home.need) == [first]
    assert [m.changed_since_index for m in live.current().match_lab(first, [home.need])] == [True]
    assert "(1 changed labs)" in live.current().match(home.need).warnings[0].en
    until_used(live, home.reindex())
    assert _marked(live, home.need) == []
    assert live.current().match(home.need).warnings == ()
    # The control: the new text is in the index that is used now.
    assert any("質子交換膜" in passage.text for passage in live.current().snapshot.passages)


def test_what_an_edit_forbids_bites_at_once(home: Home, live: LiveMatcher) -> None:
    first, *rest = _shown(live, home.need)
    home.store(Kind.LABS, home.lab(first) | {"capacity": 0})
    assert _shown(live, home.need) == rest
    assert _marked(live, home.need) == []


def test_a_new_lab_is_not_proposed_but_counted(home: Home, live: LiveMatcher) -> None:
    before = _shown(live, home.need)
    home.store(Kind.LABS, home.lab(before[0]) | {"id": "lab-new", "name": "全新實驗室", "evidence": []})
    matcher = live.current()
    assert matcher.not_indexed == {"lab-new"}
    assert "(1 new labs)" in matcher.match(home.need).warnings[0].en
    assert (_shown(live, home.need), live.state().not_indexed) == (before, 1)
    until_used(live, home.reindex())
    assert sorted(_shown(live, home.need)) == sorted([*before, "lab-new"])
    assert live.state().not_indexed == 0


def test_a_deleted_lab_is_no_longer_proposed(home: Home, live: LiveMatcher) -> None:
    gone, *rest = _shown(live, home.need)
    with writing(home.engine) as session:
        session.connection().execute(delete(Evidence).where(col(Evidence.lab_id) == gone))
        session.connection().execute(delete(StoredLab).where(col(StoredLab.id) == gone))
        note_changes(session, Kind.LABS, [gone])
    assert _shown(live, home.need) == rest


@pytest.mark.postgresql_too
def test_only_what_changed_is_read_again(home: Home, live: LiveMatcher, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []

    def counted(session: Session, ids: Any = None) -> list[Lab]:
        read.append(ids)
        return load_labs(session, ids)

    monkeypatch.setattr("matcher.ranking.opened.catalogue.load_labs", counted)
    before = live.current()
    assert live.current() is before
    lab, school = home.record("labs", 3), home.record("schools")
    home.store(Kind.LABS, lab | {"pi": "改名"})
    after = live.current()
    home.store(Kind.SCHOOLS, school | {"city": "新城"})
    last = live.current()
    assert read == [None, [lab["id"]], []]
    assert last.index is after.index is before.index
    assert (after.labs[lab["id"]].pi, before.labs[lab["id"]].pi) == ("改名", lab["pi"])
    assert [lab_id for lab_id in after.labs if after.labs[lab_id] is not before.labs[lab_id]] == [lab["id"]]
    assert list(after.labs) == sorted(after.labs)
    assert len({before.revision, after.revision, last.revision}) == 3
    assert (last.schools[school["id"]].city, after.schools[school["id"]].city) == ("新城", school["city"])


def test_a_feed_that_was_shortened_reads_everything_again(home: Home, live: LiveMatcher) -> None:
    live.current()
    lab = home.record("labs", 3)
    with writing(home.engine) as session:
        session.connection().execute(delete(Change))
    home.store(Kind.LABS, lab | {"pi": "改名"})
    with writing(home.engine) as session:
        session.connection().execute(delete(Change))
    assert live.current().labs[lab["id"]].pi == "改名"


@pytest.mark.postgresql_too
def test_a_lost_database_leaves_the_last_known_records(
    home: Home, live: LiveMatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = _shown(live, home.need)

    def gone(_: Session) -> None:
        raise RuntimeError("gone")

    with monkeypatch.context() as broken:
        broken.setattr("matcher.ranking.opened.live.numbers_of", gone)
        assert _shown(live, home.need) == shown
        assert live.state().problem == "the records can't be read again (RuntimeError)"
    live.current()
    assert live.state().problem is None
