"""A researcher keeps the own lab's profile true.

In: the fields that a researcher changes. Out: the lab's record, checked as an
import would check it, and a row that says who changed which fields when. It
exists because the ranking is only as good as the profiles, and because a
changed profile must be told from an imported one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.checking import check
from indexer.exchange import LabIn
from indexer.importing import import_rows
from indexer.instants import Instant
from indexer.records import Evidence, Lab
from indexer.vocabulary import Kind
from indexer.wording import T_
from matcher import people  # noqa: F401 (its table is referred to)


class ProfileError(ValueError):
    """A profile can't say that; `field` is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class LabEdit(SQLModel, table=True):
    """One change of a lab's profile by its researcher; the names of the fields only."""

    __tablename__ = "lab_edit"

    id: int | None = Field(default=None, primary_key=True)
    lab_id: str = Field(foreign_key="lab.id", index=True)
    fields: list[str] = Field(sa_column=Column(JSON, nullable=False))
    by: str = Field(foreign_key="account.id")
    at: datetime = Field(sa_type=Instant)


def profile_document(session: Session, lab_id: str) -> dict[str, Any] | None:
    """Return a lab with its evidence in the exchange format, None if there is no such lab."""
    lab = session.get(Lab, lab_id)
    if lab is None:
        return None
    rows = session.exec(select(Evidence).where(Evidence.lab_id == lab_id).order_by(col(Evidence.position))).all()
    evidence = [row.model_dump(mode="json", exclude={"lab_id", "position"}) for row in rows]
    return {**lab.model_dump(mode="json"), "evidence": evidence}


def edit_profile(
    session: Session, *, lab_id: str, changes: Mapping[str, Any], by: str, now: datetime
) -> dict[str, Any]:
    """Change fields of a lab's profile.

    Args:
        session: its transaction holds all writes.
        lab_id: the lab, which exists.
        changes: fields of the exchange format with their new values; `evidence` is a list of `{"id", "weight"}`: those
            named come first in this order, weight 0 retires one, all others keep place and weight.
        by: the researcher.
        now: the moment.

    Returns:
        The profile as it is now.

    Raises:
        ProfileError: there is no such lab or evidence, or a value is not right.
    """
    before = profile_document(session, lab_id)
    if before is None:
        raise ProfileError(T_("there is no lab %(lab_id)r", lab_id=lab_id))
    after = {**before, **changes}
    if "evidence" in changes:
        after["evidence"] = _arranged(before["evidence"], changes["evidence"] or [])
    found = check(Kind.LABS, after)
    if found.faults or not isinstance(found.record, LabIn):
        fault = found.faults[0]
        # What is wrong with it would quote it; the field and what would be right say enough.
        raise ProfileError(fault.right, fault.field)
    import_rows(session, Kind.LABS, [after], "profile")
    stored = profile_document(session, lab_id) or {}
    changed = sorted(name for name in before if before[name] != stored.get(name))
    if changed:
        session.add(LabEdit(lab_id=lab_id, fields=changed, by=by, at=now))
        session.flush()
    return stored


def _arranged(evidence: Sequence[dict[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    known = {item["id"]: item for item in evidence}
    named: dict[str, dict[str, Any]] = {}
    for item in wanted:
        if item["id"] not in known:
            raise ProfileError(T_("there is no such piece of evidence in this lab"), "evidence")
        named[item["id"]] = {**known[item["id"]], "weight": item["weight"]}
    return [*named.values(), *(item for item in evidence if item["id"] not in named)]
