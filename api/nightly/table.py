"""The steps of the night: names, order, and what each needs to have succeeded.

In: nothing. Out: one table. It exists so that what depends on what is data that
can be read, tested and shown: a step that fails stops only those that need it.

Records are changed only once there is a backup to go back to; old backups go
only once tonight's was shown to work; the heads of a ledger are vouched for only
if it was proved. Everything else stands alone. A new index that was held back
stops nothing: the map is drawn from the one in use.
"""

from __future__ import annotations

from dataclasses import dataclass

from api.night_runs import Said
from api.nightly.audit_proof import STEP as AUDIT
from api.nightly.audit_proof import prove_audit_trail
from api.nightly.backups import make_backup, prune_backups, rehearse_restore
from api.nightly.drop_folders import import_dropped
from api.nightly.expired_rows import delete_expired
from api.nightly.field_map import draw_map
from api.nightly.index import update_index
from api.nightly.ledger_figures import take_down_figures
from api.nightly.ledger_proof import prove_ledger, write_heads
from api.nightly.outcome import Run
from api.nightly.reminders import count_reminders
from api.nightly.telling import report_the_night
from api.nightly.warnings import propose_warnings
from indexer.wording import P_, T_, Text

REPORT = "report"
"""The step that comes last and tells of all others."""


@dataclass(frozen=True)
class Step:
    """One step: what it is called, what it does, and the steps before it that must not have failed."""

    name: str
    title: Said
    run: Run
    needs: tuple[str, ...] = ()


def _step(name: str, title: Text, run: Run, *needs: str) -> Step:
    return Step(name, Said.of(title), run, needs)


STEPS: tuple[Step, ...] = (
    _step("backup", T_("Backup"), make_backup),
    _step("rehearsal", T_("Rehearsal of a restore"), rehearse_restore, "backup"),
    _step("import", T_("Import of the drop folders"), import_dropped, "backup"),
    _step("index", T_("Index, with its quality check"), update_index),
    _step("map", T_("Map of the field"), draw_map, "index"),
    _step("figures", T_("Figures"), take_down_figures),
    _step("warnings", T_("Warnings"), propose_warnings),
    _step("reminders", T_("Reminders"), count_reminders),
    _step("verify", T_("Proof of the ledger"), prove_ledger),
    _step("heads", T_("Heads of the ledger"), write_heads, "verify"),
    _step(AUDIT, T_("Proof of the audit trail"), prove_audit_trail),
    _step("expired", T_("Deletion of what is past its time"), delete_expired),
    _step("prune", T_("Removal of old backups"), prune_backups, "rehearsal"),
    _step(REPORT, P_("night words", "Report"), report_the_night),
)
"""In the order in which they are carried out; a step needs only steps that stand before it."""
