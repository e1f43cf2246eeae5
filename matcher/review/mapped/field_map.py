"""The map of the field as it is stored: where labs and needs lie, and how well each need is met.

In: a map as it was drawn. Out: rows, of which readers see the last whole map or
the one before, never half of one; and the places for the next drawing to begin
from. It exists in the database, beside the records that decide who may see
which point. A map holds places and bands: what a need says never enters it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import CheckConstraint, delete, insert
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.database import insert_fact
from indexer.instants import Instant
from matcher.ranking.ranker import Band

MET_BANDS = (Band.STRONG, Band.PLAUSIBLE)
"""A need whose best lab is in another band, or that no lab may be proposed for, is unmet."""
KEPT_MAPS = 2
"""The map before the last stays for whoever is still reading it."""
_BANDS = ", ".join(f"'{band.value}'" for band in Band)
_BEYOND = 10_000

Place: TypeAlias = tuple[float, float]


def _on_the_map() -> CheckConstraint:
    # PostgreSQL holds what is not a number for greater than all others; SQLite stores it as null.
    return CheckConstraint(f"x BETWEEN -{_BEYOND} AND {_BEYOND} AND y BETWEEN -{_BEYOND} AND {_BEYOND}", name="place")


class FieldMap(SQLModel, table=True):
    """One map: of which index and ranker, and drawn when. `inputs` is a hash of all that it was drawn from."""

    __tablename__ = "field_map"

    id: int | None = Field(default=None, primary_key=True)
    generation: str
    ranker_version: str
    inputs: str
    drawn_at: datetime = Field(sa_type=Instant)


class MappedLab(SQLModel, table=True):
    """Where a lab lies on a map."""

    __tablename__ = "field_map_lab"
    __table_args__ = (_on_the_map(),)

    map_id: int = Field(primary_key=True, foreign_key="field_map.id", ondelete="CASCADE")
    lab_id: str = Field(primary_key=True, foreign_key="lab.id", ondelete="CASCADE")
    x: float
    y: float


class MappedNeed(SQLModel, table=True):
    """Where a need lies on a map, and how it stood: see `NeedStanding`; null if it was not open."""

    __tablename__ = "field_map_need"
    __table_args__ = (
        _on_the_map(),
        CheckConstraint(f"best_band IN ({_BANDS})", name="best_band_known"),
        CheckConstraint("labs_allowed >= 0", name="labs_allowed_counted"),
        CheckConstraint("(best_band IS NULL) = (labs_allowed IS NULL OR labs_allowed = 0)", name="best_of_some"),
    )

    map_id: int = Field(primary_key=True, foreign_key="field_map.id", ondelete="CASCADE")
    need_id: str = Field(primary_key=True, foreign_key="need.id", ondelete="CASCADE")
    x: float
    y: float
    labs_allowed: int | None
    best_band: str | None


@dataclass(frozen=True)
class NeedStanding:
    """What the ranker says of a need: how many labs may be proposed for it, and the band of the best of them."""

    labs_allowed: int
    best_band: Band | None

    @property
    def is_unmet(self) -> bool:
        """Whether no lab is strong or plausible."""
        return self.best_band not in MET_BANDS


@dataclass(frozen=True)
class Drawing:
    """A map as it was drawn; `standings` has the needs that are open.

    `new` counts places that the map before did not have, `without_place` labs and needs whose vectors say nothing;
    `changed` false means that the map before is this one.
    """

    generation: str
    ranker_version: str
    inputs: str
    labs: Mapping[str, Place]
    needs: Mapping[str, Place]
    standings: Mapping[str, NeedStanding]
    new: int
    without_place: int = 0
    changed: bool = False

    @property
    def unmet(self) -> list[str]:
        """The ids of the open needs that no lab answers."""
        return [need_id for need_id, standing in self.standings.items() if standing.is_unmet]


def last_map(session: Session) -> FieldMap | None:
    """Return the map that was drawn last, None if none was drawn yet."""
    return session.exec(select(FieldMap).order_by(col(FieldMap.id).desc()).limit(1)).first()


def places(session: Session, drawn: FieldMap) -> tuple[dict[str, Place], dict[str, Place]]:
    """Return where the labs and the needs of a map lie, by id."""
    labs = session.exec(select(MappedLab.lab_id, MappedLab.x, MappedLab.y).where(MappedLab.map_id == drawn.id))
    needs = session.exec(select(MappedNeed.need_id, MappedNeed.x, MappedNeed.y).where(MappedNeed.map_id == drawn.id))
    return {lab_id: (x, y) for lab_id, x, y in labs}, {need_id: (x, y) for need_id, x, y in needs}


def publish(session: Session, drawing: Drawing, *, now: datetime) -> FieldMap:
    """Store a map as the last one and delete the oldest; the caller commits, and until then nobody sees any of it.

    Args:
        session: its transaction holds all writes.
        drawing: the map.
        now: the moment it was drawn.

    Raises:
        IntegrityError: a lab or need is no longer in the records, or a place is not one.
    """
    drawn = FieldMap(
        generation=drawing.generation, ranker_version=drawing.ranker_version, inputs=drawing.inputs, drawn_at=now
    )
    map_id = insert_fact(session, drawn).id
    labs = [{"map_id": map_id, "lab_id": lab_id, "x": x, "y": y} for lab_id, (x, y) in drawing.labs.items()]
    needs = [
        {"map_id": map_id, "need_id": need_id, "x": x, "y": y, **_stated(drawing.standings.get(need_id))}
        for need_id, (x, y) in drawing.needs.items()
    ]
    for model, rows in ((MappedLab, labs), (MappedNeed, needs)):
        if rows:
            session.connection().execute(insert(model), rows)
    newest = select(FieldMap.id).order_by(col(FieldMap.id).desc()).limit(KEPT_MAPS)
    session.connection().execute(delete(FieldMap).where(col(FieldMap.id).not_in(newest)))
    return drawn


def _stated(standing: NeedStanding | None) -> dict[str, int | str | None]:
    if standing is None:
        return {"labs_allowed": None, "best_band": None}
    band = standing.best_band
    return {"labs_allowed": standing.labs_allowed, "best_band": None if band is None else band.value}
