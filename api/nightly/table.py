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

REPORT = "report"
"""The step that comes last and tells of all others."""


@dataclass(frozen=True)
class Step:
    """One step: what it is called, what it does, and the steps before it that must not have failed."""

    name: str
    title: Said
    run: Run
    needs: tuple[str, ...] = ()


def _step(name: str, zh: str, en: str, run: Run, *needs: str) -> Step:
    return Step(name, Said(zh=zh, en=en), run, needs)


STEPS: tuple[Step, ...] = (
    _step("backup", "備份", "Backup", make_backup),
    _step("rehearsal", "還原演練", "Rehearsal of a restore", rehearse_restore, "backup"),
    _step("import", "匯入資料夾", "Import of the drop folders", import_dropped, "backup"),
    _step("index", "更新索引並檢查品質", "Index, with its quality check", update_index),
    _step("map", "領域地圖", "Map of the field", draw_map, "index"),
    _step("figures", "績效指標", "Figures", take_down_figures),
    _step("warnings", "預警", "Warnings", propose_warnings),
    _step("reminders", "待辦提醒", "Reminders", count_reminders),
    _step("verify", "核對帳本", "Proof of the ledger", prove_ledger),
    _step("heads", "記錄鏈頭", "Heads of the ledger", write_heads, "verify"),
    _step(AUDIT, "核對稽核紀錄", "Proof of the audit trail", prove_audit_trail),
    _step("expired", "清除逾期資料", "Deletion of what is past its time", delete_expired),
    _step("prune", "清理舊備份", "Removal of old backups", prune_backups, "rehearsal"),
    _step(REPORT, "報告", "Report", report_the_night),
)
"""In the order in which they are carried out; a step needs only steps that stand before it."""
