"""What the committee's pack is made from: one state of the ledger, read once.

In: a group of alliances, a day, and the programme's targets. Out: the group's
reports since the quarter began with their steps, look-alikes, readings, rungs
and motions that wait. It exists apart from the pack's tables because these are
questions to the database, those are only their layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property

from sqlalchemy import or_
from sqlmodel import Session, col, select

from indexer.instants import TAIPEI
from matcher.ledger.claims import ExternalClaim
from matcher.ledger.configuration import current
from matcher.ledger.entries import Entry
from matcher.ledger.figures import Figures, end_of, figures
from matcher.ledger.kpis import RECOGNISED_KPIS
from matcher.ledger.motions import Motion, MotionEnd, MotionKind
from matcher.ledger.periods import first_day, last_quarter_over
from matcher.ledger.similar import Similarity
from matcher.ledger.standings import Standing, standings
from matcher.ledger.steps import Step
from matcher.ledger.warnings import Aim, AllianceTargets, Reading, WarningRules, readings, targets_of


@dataclass
class Review:
    """One state of the ledger, read once for all tables. `aims` are the programme's targets, of one book."""

    session: Session
    alliances: Sequence[str]
    as_of: date
    aims: Sequence[Aim]

    @cached_property
    def moment(self) -> datetime:
        """The end of the day in Taipei."""
        return end_of(self.as_of)

    @cached_property
    def quarter(self) -> str:
        """The last quarter that is over by then."""
        return last_quarter_over(self.as_of)

    @cached_property
    def rules(self) -> WarningRules:
        """The pace that held then."""
        return current(self.session, WarningRules, at=self.moment)

    @cached_property
    def folded(self) -> Figures:
        """The programme's figures."""
        return figures(self.session, as_of=self.moment)

    @cached_property
    def reported(self) -> Sequence[Entry]:
        """What the group reported since the quarter began, oldest first."""
        since = datetime.combine(first_day(self.quarter), time.min, TAIPEI)
        query = select(Entry).where(Entry.reported_at >= since, Entry.reported_at <= self.moment)
        kpis = [kpi.value for kpi in RECOGNISED_KPIS]
        rows = self.session.exec(query.where(col(Entry.kpi).in_(kpis)).order_by(col(Entry.seq))).all()
        return [row for row in rows if self._is_ours(row)]

    @cached_property
    def steps(self) -> dict[str, list[Step]]:
        """The steps of what was reported, by entry."""
        ids = [entry.id for entry in self.reported]
        found: dict[str, list[Step]] = {entry_id: [] for entry_id in ids}
        query = select(Step).where(col(Step.entry_id).in_(ids), Step.at <= self.moment).order_by(col(Step.seq))
        for one in self.session.exec(query).all():
            found[one.entry_id].append(one)
        return found

    @cached_property
    def read(self) -> list[Reading]:
        """How the group's targets stand."""
        document = current(self.session, AllianceTargets, at=self.moment)
        targets = targets_of(document, self.aims, self.alliances)
        return readings(self.session, self.folded, targets, self.rules, self.as_of)

    @cached_property
    def standing(self) -> list[Standing]:
        """Where the group's alliances stand on their ladders."""
        return standings(self.session, as_of=self.moment, alliances=self.alliances)

    @cached_property
    def alike(self) -> list[tuple[Similarity, Entry, Entry | ExternalClaim]]:
        """What was reported and resembles another claim, or is resembled by one: the entry and the other side."""
        ids = [entry.id for entry in self.reported]
        near = or_(col(Similarity.entry_id).in_(ids), col(Similarity.other_entry).in_(ids))
        found: list[tuple[Similarity, Entry, Entry | ExternalClaim]] = []
        for one in self.session.exec(select(Similarity).where(near).order_by(col(Similarity.id))).all():
            entry = self._entry(one.entry_id)
            if entry.reported_at > self.moment:
                continue
            other = self._claim(one) if one.other_entry is None else self._entry(one.other_entry)
            found.append((one, entry, other))
        return found

    @cached_property
    def motions(self) -> list[Motion]:
        """The motions on the group's entries that wait for a second person; to close a quarter is the office's."""
        ended = select(MotionEnd.motion_id).where(MotionEnd.at <= self.moment)
        these = (Motion.moved_at <= self.moment, col(Motion.id).not_in(ended))
        waiting = self.session.exec(select(Motion).where(*these).order_by(col(Motion.id))).all()
        return [one for one in waiting if one.kind != MotionKind.CLOSE and self._is_ours(self._entry(one.subject))]

    def _claim(self, one: Similarity) -> ExternalClaim:
        return self.session.exec(select(ExternalClaim).where(ExternalClaim.id == one.external_claim)).one()

    def _entry(self, entry_id: str) -> Entry:
        return self.session.exec(select(Entry).where(Entry.id == entry_id)).one()

    def _is_ours(self, entry: Entry) -> bool:
        return bool(set(entry.shares) & set(self.alliances))
