"""What the parts of a night are called, in Chinese and English.

In: codes as the night's state holds them. Out: their words. It exists because
terminal, report, mail and pages must call the same thing the same.
"""

from __future__ import annotations

from api.night_runs import NightState, StepState

STEP_STATES = {
    StepState.WAITING: ("等候", "waiting"),
    StepState.RUNNING: ("進行中", "running"),
    StepState.DONE: ("完成", "done"),
    StepState.HELD: ("暫緩啟用", "held back"),
    StepState.SKIPPED: ("略過", "skipped"),
    StepState.FAILED: ("失敗", "failed"),
}
NIGHT_STATES = {
    NightState.RUNNING: ("進行中", "running"),
    NightState.INTERRUPTED: ("中斷，下次啟動時接續", "cut off; the next start goes on with it"),
    NightState.DONE: ("全部完成", "all done"),
    NightState.HELD: ("完成，新索引暫緩啟用", "done, the new index is held back"),
    NightState.FAILED: ("有步驟失敗", "steps failed"),
}
FIGURES = {
    "acceptances": ("媒合接受", "acceptances"),
    "alliances": ("聯盟", "alliances"),
    "bytes": ("位元組", "bytes"),
    "cases_without_contact": ("久未聯繫之案件", "cases without contact"),
    "changed": ("有變動", "changed"),
    "checks": ("檢查項", "checks"),
    "created": ("新增", "created"),
    "deferred_due": ("暫緩到期", "deferred and due"),
    "dropped": ("移除段落", "passages dropped"),
    "encoded": ("新編碼", "encoded"),
    "encoding_s": ("編碼秒數", "seconds of encoding"),
    "entries": ("分錄", "entries"),
    "failed": ("未通過", "not passed"),
    "failed_sign_ins": ("登入失敗紀錄", "failed sign-ins"),
    "files": ("檔案", "files"),
    "files_failed": ("無法匯入之檔案", "files not imported"),
    "files_imported": ("匯入檔案", "files imported"),
    "files_same": ("先前已匯入之檔案", "files imported before"),
    "files_waiting": ("仍在寫入之檔案", "files still being written"),
    "findings": ("不符", "findings"),
    "folders": ("資料夾", "folders"),
    "follow_ups_due": ("到期待追蹤", "follow-ups due"),
    "heads_compared": ("核對鏈頭", "heads compared"),
    "jobs": ("逾期作業", "jobs"),
    "kept_at_most": ("至多保留", "kept at most"),
    "labs": ("實驗室", "labs"),
    "lift": ("建議解除", "to be lifted"),
    "mailed_to": ("寄送人數", "mailed to"),
    "needs": ("需求", "needs"),
    "needs_to_match": ("待媒合需求", "needs to match"),
    "needs_to_review": ("待審閱需求", "needs to review"),
    "new": ("新位置", "new places"),
    "new_needs": ("待受理需求", "new needs"),
    "nights": ("舊夜間紀錄", "old nights"),
    "open_needs": ("進行中需求", "open needs"),
    "passages": ("段落", "passages"),
    "peak_memory_mb": ("記憶體峰值 MB", "peak memory, MB"),
    "plan_missing": ("缺改善計畫", "plans missing"),
    "plan_overdue": ("改善計畫逾期", "plans overdue"),
    "refused": ("拒收", "refused"),
    "removed": ("移除", "removed"),
    "replies": ("逾期回應", "stored replies"),
    "reused": ("沿用向量", "vectors reused"),
    "rows": ("列", "rows"),
    "sessions": ("失效工作階段", "ended sessions"),
    "silent_companies": ("久未聯繫之企業", "companies without contact"),
    "steps": ("步驟", "steps"),
    "unchanged": ("不變", "unchanged"),
    "unmet": ("無合適實驗室之需求", "needs without a fitting lab"),
    "updated": ("更新", "updated"),
    "warn": ("建議預警", "warnings proposed"),
    "without_place": ("無法定位", "without a place"),
}
"""What the figures of the steps count."""
