"""A map of everything that is in a database, without an index: for tests of who sees what of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlmodel import Session, col, select

from indexer.database import open_engine, writing
from indexer.records import Lab, Need
from indexer.settings import Settings
from matcher.field_map import Drawing, FieldMap, Place, Standing, publish
from matcher.ranker import Band

MET = Standing(9, Band.STRONG)


def drawing_of(session: Session, standings: Mapping[str, Standing] | None = None, generation: str = "g") -> Drawing:
    """Return a map with every lab and need in a row; needs of which nothing is said are met."""
    labs = session.exec(select(Lab.id).order_by(col(Lab.id))).all()
    needs = session.exec(select(Need.id).order_by(col(Need.id))).all()
    places: dict[str, Place] = {lab_id: (float(n), 0.0) for n, lab_id in enumerate(labs)}
    of_needs: dict[str, Place] = {need_id: (float(n), 1.0) for n, need_id in enumerate(needs)}
    stated = dict.fromkeys(needs, MET) | dict(standings or {})
    return Drawing(generation, "1", generation, places, of_needs, stated, new=len(places) + len(of_needs), changed=True)


def draw_everything(settings: Settings, standings: Mapping[str, Standing] | None = None) -> FieldMap:
    """Store such a map."""
    engine = open_engine(settings)
    with writing(engine) as session:
        drawn = publish(session, drawing_of(session, standings), now=datetime.now(UTC))
    engine.dispose()
    return drawn
