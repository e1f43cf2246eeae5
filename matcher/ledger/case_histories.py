"""How cases went and what each is worth: what a forecast learns from and is made of.

In: the cases, their steps, their needs, and recognised money. Out: one history
per case. It exists so that forecasting itself is arithmetic over values, as of
any moment, with no database in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from sqlmodel import Session, col, select

from indexer.records import Company, Need
from matcher.cases import Case, CaseStep, Stage
from matcher.ledger.entries import Entry, EntryKind
from matcher.ledger.kpis import Kpi
from matcher.ledger.steps import State, Step

HOME_COUNTRY = "TW"


@dataclass(frozen=True)
class CaseHistory:
    """A case, the stages that it came to with their moments (the first is `accepted`), and what it is worth.

    `amount_ntd` is None where nothing tells; `international`: the company is from abroad.
    """

    case_id: int
    alliance_id: str
    stages: tuple[tuple[Stage, datetime], ...]
    amount_ntd: int | None
    international: bool

    def stage_at(self, moment: datetime) -> Stage | None:
        """Return the stage at a moment, None before the case was opened."""
        return next((stage for stage, at in reversed(self.stages) if at <= moment), None)

    def entered(self, stage: Stage) -> datetime | None:
        """Return when the case came to a stage, None if it never did."""
        return next((at for reached, at in self.stages if reached is stage), None)

    def left(self, stage: Stage) -> datetime | None:
        """Return when the case went on from a stage, None if it never came to it or still stands in it."""
        following = zip(self.stages, self.stages[1:], strict=False)
        return next((at for (reached, _), (_, at) in following if reached is stage), None)


def case_histories(session: Session, *, as_of: datetime, similar_cases_needed: int) -> list[CaseHistory]:
    """Return all cases that were opened by a moment and not undone, as they stood then.

    A case is worth its need's budget; without one the median of recognised money of cases whose needs share a field,
    if there are enough of them.
    """
    query = (
        select(Case, Need.budget_ntd, Need.fields, Company.country)
        .join(Need, col(Need.id) == col(Case.need_id))
        .join(Company, col(Company.id) == col(Case.company_id), isouter=True)
        .where(col(Case.opened_at) <= as_of)
        .order_by(col(Case.id))
    )
    rows = session.execute(query).all()
    steps = _steps(session, as_of)
    fields = {case.id: frozenset(said or ()) for case, _, said, _ in rows}
    known = _recognised_money(session, as_of)
    histories = []
    for case, budget, said, country in rows:
        stages = ((Stage.ACCEPTED, case.opened_at), *steps.get(case.id, ()))
        if stages[-1][0] is Stage.UNDONE:
            continue
        amount = budget or _typical(frozenset(said or ()), known, fields, similar_cases_needed)
        abroad = country is not None and country != HOME_COUNTRY
        histories.append(CaseHistory(case.id, case.alliance_id, stages, amount, abroad))
    return histories


def _steps(session: Session, as_of: datetime) -> dict[int, list[tuple[Stage, datetime]]]:
    query = select(CaseStep.case_id, CaseStep.new, CaseStep.at).where(col(CaseStep.at) <= as_of)
    found: defaultdict[int, list[tuple[Stage, datetime]]] = defaultdict(list)
    for case_id, new, at in session.execute(query.order_by(col(CaseStep.case_id), col(CaseStep.version))).all():
        found[case_id].append((Stage(new), at))
    return found


def _recognised_money(session: Session, as_of: datetime) -> dict[int, int]:
    """Return what was recognised of each case's money, in NTD."""
    query = (
        select(Entry.case_id, Entry.kind, Entry.amount)
        .join(Step, col(Step.entry_id) == col(Entry.id))
        .where(Step.state == State.RECOGNISED.value, col(Step.at) <= as_of)
        .where(Entry.kpi == Kpi.MONEY.value, col(Entry.case_id).is_not(None))
    )
    sums: defaultdict[int, int] = defaultdict(int)
    for case_id, kind, amount in session.execute(query).all():
        sums[case_id] += -amount if kind == EntryKind.REVERSAL else amount
    return {case_id: amount for case_id, amount in sums.items() if amount > 0}


def _typical(
    said: frozenset[str], known: Mapping[int, int], fields: Mapping[int | None, frozenset[str]], needed: int
) -> int | None:
    return _median([amount for case_id, amount in known.items() if said & fields.get(case_id, frozenset())], needed)


def _median(amounts: Iterable[int], needed: int) -> int | None:
    found: Sequence[int] = list(amounts)
    return round(median(found)) if len(found) >= max(1, needed) else None
