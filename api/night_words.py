"""What the parts of a night are called, in Chinese and English.

In: codes as the night's state holds them. Out: their words. It exists because
terminal, report, mail and pages must call the same thing the same.
"""

from __future__ import annotations

from api.night_runs import NightState, StepState
from indexer.wording import P_, T_

STEP_STATES = {
    StepState.WAITING: P_("night words", "waiting"),
    StepState.RUNNING: P_("night words", "running"),
    StepState.DONE: P_("night words", "done"),
    StepState.HELD: P_("night words", "held back"),
    StepState.SKIPPED: T_("skipped"),
    StepState.FAILED: T_("failed"),
}
NIGHT_STATES = {
    NightState.RUNNING: P_("night words", "running"),
    NightState.INTERRUPTED: T_("cut off; the next start goes on with it"),
    NightState.DONE: T_("all done"),
    NightState.HELD: T_("done, the new index is held back"),
    NightState.FAILED: T_("steps failed"),
}
FIGURES = {
    "acceptances": T_("acceptances"),
    "alliances": T_("alliances"),
    "bytes": T_("bytes"),
    "cases_without_contact": T_("cases without contact"),
    "changed": P_("night words", "changed"),
    "checks": T_("checks"),
    "created": T_("created"),
    "deferred_due": T_("deferred and due"),
    "dropped": T_("passages dropped"),
    "encoded": T_("encoded"),
    "encoding_s": T_("seconds of encoding"),
    "entries": P_("night words", "entries"),
    "failed": T_("not passed"),
    "failed_sign_ins": T_("failed sign-ins"),
    "files": T_("files"),
    "files_failed": T_("files not imported"),
    "files_imported": T_("files imported"),
    "files_same": T_("files imported before"),
    "files_waiting": T_("files still being written"),
    "findings": T_("findings"),
    "folders": T_("folders"),
    "follow_ups_due": T_("follow-ups due"),
    "heads_compared": T_("heads compared"),
    "jobs": P_("night words", "jobs"),
    "kept_at_most": T_("kept at most"),
    "labs": T_("labs"),
    "lift": T_("to be lifted"),
    "mailed_to": T_("mailed to"),
    "needs": T_("needs"),
    "needs_to_match": T_("needs to match"),
    "needs_to_review": T_("needs to review"),
    "new": T_("new places"),
    "new_needs": T_("new needs"),
    "nights": T_("old nights"),
    "open_needs": T_("open needs"),
    "passages": T_("passages"),
    "peak_memory_mb": T_("peak memory, MB"),
    "plan_missing": T_("plans missing"),
    "plan_overdue": T_("plans overdue"),
    "refused": P_("night words", "refused"),
    "removed": T_("removed"),
    "replies": T_("stored replies"),
    "reused": T_("vectors reused"),
    "rows": T_("rows"),
    "sessions": T_("ended sessions"),
    "silent_companies": T_("companies without contact"),
    "steps": P_("night words", "steps"),
    "unchanged": T_("unchanged"),
    "unmet": T_("needs without a fitting lab"),
    "updated": T_("updated"),
    "warn": T_("warnings proposed"),
    "without_place": T_("without a place"),
}
"""What the figures of the steps count."""
