"""What the audit trail calls things, as people call them.

In: a code of the policy or of the trail. Out: English words, which the catalogues translate like every other text. It
exists apart from `terms` because the same code means something else there: a pairing that was refused was not turned
away.
"""

from __future__ import annotations

from api.pages.wording import N_

RESOURCES: dict[str, str] = {
    "need": N_("Need"),
    "match": N_("Ranking"),
    "pairing": N_("Pairing"),
    "exposure": N_("Exposure of labs"),
    "case": N_("Case"),
    "lab": N_("Lab"),
    "company": N_("Company"),
    "company_name": N_("Names of companies"),
    "contact": N_("Contact"),
    "expert": N_("Names of experts"),
    "queue": N_("Desk"),
    "released_lab": N_("Released labs"),
    "stake": N_("Declared interest"),
    "account": N_("Account"),
    "import": N_("Import"),
    "job": N_("Job"),
    "job_result": N_("Result of a job"),
    "generation": N_("Generation of the index"),
    "profile": N_("Own account"),
    "key": N_("Key"),
    "claim": N_("Claim of a lab"),
    "demand": N_("Demand"),
    "lab_name": N_("Names of labs"),
    "field_map": N_("Map"),
    "entry": N_("Result"),
    "evidence": N_("Evidence"),
    "person": N_("Person"),
    "motion": N_("Motion"),
    "school_total": N_("Total of a school"),
    "external_claim": N_("Claim of another programme"),
    "period": N_("Quarter"),
    "ledger_head": N_("Head of the ledger"),
    "figure": N_("Figure"),
    "report": N_("Report document"),
    "standing": N_("Standing of an alliance"),
    "ladder": N_("Warning step"),
    "money_row": N_("Income or expense"),
    "sufficiency": N_("Self-sufficiency"),
    "point": N_("Points"),
    "gender_figure": N_("Gender figures of an alliance"),
    "programme_gender": N_("Gender figures of the programme"),
    "configuration": N_("Rules and values"),
    "audit": N_("Audit trail"),
    "night": N_("Night"),
}
"""What the policy protects, as people call it."""
ACTIONS: dict[str, str] = {
    "read": N_("read"),
    "list": N_("listed"),
    "create": N_("made"),
    "edit": N_("edited"),
    "take_up": N_("taken on"),
    "share": N_("shared"),
    "assign": N_("given to an alliance"),
    "withdraw": N_("withdrawn or closed"),
    "decide": N_("decided"),
    "release": N_("released"),
    "move": N_("moved on"),
    "contact": N_("contacted"),
    "break_glass": N_("opened in an emergency"),
    "register": N_("registered"),
    "cancel": N_("stopped"),
    "check": N_("checked"),
    "return": N_("returned"),
    "refuse": N_("turned down"),
    "tell_apart": N_("told apart"),
    "supplement": N_("supplemented"),
    "recognise": N_("recognised"),
    "reverse": N_("reversed"),
    "second": N_("seconded"),
    "drop": N_("dropped"),
    "end": N_("ended"),
    "close": N_("quarter closed"),
}
"""What was done with it."""
OUTCOMES: dict[str, str] = {
    "seen": N_("Seen"),
    "done": N_("Done"),
    "repeated": N_("Sent again"),
    "refused": N_("Turned away"),
    "lost": N_("Views not kept"),
}
"""What came of it."""
WAYS: dict[str, str] = {
    "api": N_("program"),
    "page": N_("page"),
    "command": N_("command line"),
    "job": N_("background job"),
    "server": N_("server itself"),
}
"""In which way it was asked."""
_OTHER_KINDS: dict[str, str] = {
    "grant": N_("Role"),
    "draft": N_("Draft"),
    "kpi": N_("KPI"),
    "ladder_step": N_("Warning step"),
    "point_row": N_("Points"),
    "school": N_("School"),
    "alliance": N_("Alliance"),
}

KINDS = RESOURCES | _OTHER_KINDS
"""Kinds of records that rows are about."""
