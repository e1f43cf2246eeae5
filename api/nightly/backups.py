"""The steps that keep what there is: a backup, its restore rehearsed, and old ones removed.

In: the home. Out: a backup that was restored once already before anybody needs
it. It exists as three steps, because old backups may only go once the new one
has been shown to work.
"""

from __future__ import annotations

from pathlib import Path

from api.backing_up import back_up, prune
from api.night_runs import Said, StepState
from api.nightly.outcome import Outcome, Work
from api.restoring import rehearse
from indexer.wording import T_, joined


def make_backup(work: Work) -> Outcome:
    """Back up database, index pointer, evidence and heads."""
    made = back_up(work.settings)
    figures = {"files": made.files, "bytes": made.bytes}
    problem = made.index_problem
    said = None if problem is None else Said.of(T_("without the index: %(problem)s", problem=problem))
    return Outcome(figures, said, {"name": made.path.name, "path": str(made.path)})


def rehearse_restore(work: Work) -> Outcome:
    """Restore tonight's backup into a scratch folder and try it out."""
    rehearsal = rehearse(work.settings, Path(work.night.step("backup").details["path"]))
    checks = rehearsal.as_dict()["checks"]
    failed = [one for one in rehearsal.checks if not one.passed]
    figures = {"checks": len(checks), "failed": len(failed)}
    if rehearsal.passed:
        return Outcome(figures, details={"checks": checks})
    wrong = joined("; ", [T_("%(check)s: %(detail)s", check=one.label, detail=one.detail) for one in failed])
    said = Said.of(T_("the backup could not be restored in the rehearsal: %(wrong)s", wrong=wrong))
    return Outcome(figures, said, {"checks": checks}, StepState.FAILED)


def prune_backups(work: Work) -> Outcome:
    """Remove the oldest backups."""
    removed = prune(work.settings, keep=work.settings.backups_kept)
    return Outcome({"kept_at_most": work.settings.backups_kept, "removed": len(removed)})
