"""What tests read of the audit trail, and the comparison of answered requests with the rows that they left."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select

from api.trail.audit_trail import AuditRow, AuditSubject, TrailProof, verify_trail
from api.trail.request_trail import NOT_WATCHED
from indexer.database import open_engine, reading
from indexer.settings import Settings

Answered = tuple[str, str]
"""Method and path of a route, such as `GET /api/needs`, and the id of a request that it answered with success."""
OUTCOMES_OF_CHANGES = ("done", "repeated")


@dataclass(frozen=True)
class Row:
    """A row with its subjects as `kind id`; a subject whose text was withheld is in `withheld` too."""

    of: AuditRow
    subjects: frozenset[str]
    withheld: frozenset[str]


def rows_of(engine: Engine) -> list[Row]:
    """Return the whole trail in its order."""
    subjects: defaultdict[int, list[AuditSubject]] = defaultdict(list)
    with reading(engine) as session:
        for one in session.execute(select(AuditSubject)).scalars():
            subjects[one.seq].append(one)
        rows = list(session.execute(select(AuditRow).order_by(AuditRow.seq)).scalars())
        session.expunge_all()
    return [
        Row(
            row,
            frozenset(f"{one.kind} {one.subject_id}" for one in subjects[row.seq]),
            frozenset(f"{one.kind} {one.subject_id}" for one in subjects[row.seq] if one.withheld),
        )
        for row in rows
    ]


def verdict_of(engine: Engine) -> TrailProof:
    """Return what a look at every row finds."""
    with reading(engine) as session:
        return verify_trail(session)


def stored_rows(settings: Settings) -> list[Row]:
    """Return the whole trail of a database that nobody has open."""
    engine = open_engine(settings)
    found = rows_of(engine)
    engine.dispose()
    return found


_READ_ONLY = {"POST /api/drafts"}
_WAYS_IN, _SIGN_OUT = ("POST /api/session", "POST /api/password-renewals/{token}"), "DELETE /api/session"


def wrongly_kept(
    rows: Iterable[Row], answered: Iterable[Answered], routes: Iterable[tuple[str, str, Any]]
) -> list[str]:
    """Return for which answered requests the trail has another number of rows than it should.

    A change leaves one; a view leaves one unless the policy's cell is not watched; what needs no permission none, but
    a sign-in, a password set by a letter's link, and a sign-out of a browser that was signed in. What is sent to be
    read only (`_READ_ONLY`) is a view.
    """
    permissions = {f"{method} {path}": permission for method, path, permission in routes}
    changes: Counter[str | None] = Counter()
    views: Counter[str | None] = Counter()
    for row in rows:
        changes[row.of.request_id] += row.of.outcome in OUTCOMES_OF_CHANGES
        views[row.of.request_id] += row.of.outcome == "seen"
    wrong = []
    for label, request_id in answered:
        permission = permissions[label]
        if permission is None:
            signed_out = min(changes[request_id], 1) if label == _SIGN_OUT else 0
            expected = (1 if label in _WAYS_IN else signed_out, 0)
        elif label.startswith("GET ") or label in _READ_ONLY:
            expected = (0, int(permission not in NOT_WATCHED))
        else:
            expected = (1, 0)
        # A long export is written down in parts.
        parts = min(views[request_id], 1) if "/exports/" in label else views[request_id]
        found = (changes[request_id], parts)
        if found != expected:
            wrong.append(f"{label}: {found} instead of {expected}")
    return wrong
