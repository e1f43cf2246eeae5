"""Accounts that were merged are one person for the database too: neither takes a step on what the other did."""

from __future__ import annotations

from indexer.migrations.append_only import refuse_when

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_ACTORS = (
    "SELECT e.reporter AS who UNION SELECT c.owner_id FROM case_file c WHERE c.id = e.case_id "
    'UNION SELECT s."by" FROM ledger_step s JOIN ledger_step p ON p.entry_id = s.entry_id '
    "AND p.version = s.version - 1 WHERE s.entry_id = e.id AND s.state = 'reported' AND p.state = 'returned' "
    "UNION SELECT s.\"by\" FROM ledger_step s WHERE s.entry_id = e.id AND s.state = 'checked' "
    "AND NEW.state = 'recognised' "
    "UNION SELECT m.moved_by FROM ledger_motion m WHERE m.subject = e.id AND m.kind = 'recognise' "
    "AND NEW.state = 'checked'"
)
_DECIDES = (
    "(NEW.state IN ('checked', 'returned', 'recognised', 'refused', 'reversed') OR (NEW.state = 'reported' AND EXISTS "
    "(SELECT 1 FROM ledger_step p WHERE p.entry_id = NEW.entry_id AND p.version = NEW.version - 1 "
    "AND p.state = 'held')))"
)
"""Both as 0015 has them for accounts that made, granted or keyed each other."""
_ONE_PERSON = (
    "EXISTS (SELECT 1 FROM record_merge r WHERE r.kind = 'person' AND r.undone_at IS NULL AND "
    '((r.kept_id = NEW."by" AND r.gone_id IN ({others})) OR (r.gone_id = NEW."by" AND r.kept_id IN ({others}))))'
)
_SAID = "accounts that were merged are one person"


def upgrade() -> None:
    """Bring the rules that the database keeps itself up."""
    refuse_when(
        "ledger_step",
        "INSERT",
        "by_no_merged",
        f"{_DECIDES} AND EXISTS (SELECT 1 FROM ledger_entry e WHERE e.id = NEW.entry_id AND e.kind = 'fact' "
        f"AND {_ONE_PERSON.format(others=_ACTORS)})",
        _SAID,
    )
    refuse_when(
        "ledger_motion_end",
        "INSERT",
        "by_no_merged",
        f"NEW.seconded AND {_ONE_PERSON.format(others='NEW.moved_by')}",
        _SAID,
    )
