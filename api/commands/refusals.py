"""The one table of errors that a user can cause, and what is said about each.

In: an exception that ended a command. Out: a message and the exit code, or
None for a fault of ours, which must not be hidden. It exists so that bad input
never ends in a traceback. Errors are known by where they are found, so that
`gloria --help` does not import the modules that define them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from indexer.wording import T_, joined, recognised

REFUSED = 1
WRONG_USAGE = 2


@dataclass(frozen=True)
class CommandRefusal:
    """What to tell the user, and the exit code."""

    message: str
    exit_code: int = REFUSED


class RefusedError(Exception):
    """A command can't do what was asked; the message says why and what would be right."""


def _as_it_says(error: Any) -> CommandRefusal:
    return CommandRefusal(str(error))


def _operating_system(error: Any) -> CommandRefusal:
    reason = recognised(error.strerror or str(error))
    return CommandRefusal(T_("%(file)s: %(reason)s", file=error.filename, reason=reason) if error.filename else reason)


def _storage_full(_error: Any) -> CommandRefusal:
    return CommandRefusal(T_("the disk is full: what was to be stored now is not stored; make room and run it again"))


def _database(error: Any) -> CommandRefusal:
    from indexer.database import is_full

    if is_full(getattr(error, "orig", error)):
        return _storage_full(error)
    reason = getattr(error, "orig", None) or error
    return CommandRefusal(T_("the database can't be used: %(reason)s; run: gloria doctor", reason=reason))


def _setting(error: Any) -> CommandRefusal:
    if error.title != "Settings":
        raise error
    lines = []
    for detail in error.errors(include_url=False):
        if not detail["loc"]:
            # What several settings have to be together; what was given is not quoted, since it may hold a password.
            lines.append(recognised(detail["msg"].removeprefix("Value error, ")))
            continue
        name = "GLORIA_" + "_".join(map(str, detail["loc"])).upper()
        lines.append(T_("%(name)s=%(given)s: %(msg)s", name=name, given=detail["input"], msg=recognised(detail["msg"])))
    return CommandRefusal(joined("\n", lines), WRONG_USAGE)


def _database_url(error: Any) -> CommandRefusal:
    example = "sqlite:////path/gloria.db"
    return CommandRefusal(
        T_(
            "GLORIA_DATABASE_URL: %(error)s; leave it empty or give one such as %(example)s",
            error=error,
            example=example,
        ),
        WRONG_USAGE,
    )


def _missing_package(error: Any) -> CommandRefusal:
    return CommandRefusal(
        T_("%(error)s; the installation is not complete: pip install -e . -c constraints.txt", error=error)
    )


TABLE: dict[str, Callable[[Any], CommandRefusal]] = {
    "api.backups.backup.BackupError": _as_it_says,
    "api.access.passwords.PasswordError": _as_it_says,
    "api.commands.refusals.RefusedError": _as_it_says,
    "indexer.database.BusyError": _as_it_says,
    "indexer.database.StorageFullError": _storage_full,
    "indexer.database.DatabaseGoneError": _database,
    "indexer.encoders.embeddings.CacheError": _as_it_says,
    "indexer.encoders.encoder.EncoderError": _as_it_says,
    "indexer.index.building.ReindexError": _as_it_says,
    "indexer.schema.SchemaError": _as_it_says,
    "indexer.index.opening.SnapshotError": _as_it_says,
    "matcher.review.intake.IntakeError": _as_it_says,
    "matcher.judging.measures.EvaluationError": _as_it_says,
    "matcher.judging.panel.grades.JudgingError": _as_it_says,
    "matcher.mending.retiring.MendingError": _as_it_says,
    "matcher.ledger.rows.entries.LedgerError": _as_it_says,
    "matcher.ledger.rendering.workbooks.ReportTooLargeError": _as_it_says,
    "matcher.ranking.pairings.UnknownRecordError": _as_it_says,
    "matcher.portfolio.picks.PlanError": _as_it_says,
    "matcher.teams.teams.TeamError": _as_it_says,
    "matcher.review.joint.diagnosis.DiagnosisError": _as_it_says,
    "matcher.review.people.PeopleError": _as_it_says,
    "matcher.ranking.ranker.WeightsError": _as_it_says,
    "pydantic.ValidationError": _setting,
    "sqlalchemy.exc.ArgumentError": _database_url,
    "sqlalchemy.exc.DBAPIError": _database,
    "psycopg.OperationalError": _database,
    "pysqlite3.dbapi2.DatabaseError": _database,
    "sqlite3.DatabaseError": _database,
    "builtins.ModuleNotFoundError": _missing_package,
    "builtins.OSError": _operating_system,
}
"""Where each error is found, and what to say about it; the first that fits decides."""


def refusal(error: Exception) -> CommandRefusal | None:
    """Return what to say about an error, None if it is a fault of ours."""
    for place, tell in TABLE.items():
        module, _, name = place.rpartition(".")
        # A module that nobody imported can't have raised anything.
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            return tell(error)
    return None
