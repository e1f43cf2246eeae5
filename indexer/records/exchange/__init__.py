"""The exchange format: what one record of each kind may hold, and what was wrong with a row that does not.

In: one JSON object, or one flat row already split into values. Out: a typed, checked record (or None) and the
faults, as values. It exists so that JSON Lines, CSV, XLSX and the web all accept the same things and complain in
the same words.

Only `id` is required. Null and an empty text are the same; a missing field is one that the record says nothing of. A
bad evidence item or ask costs only that item. Of a form or a body every other bad field costs the whole; of a file
(`lenient`) it costs itself, as a warning, unless the record would be another one, or less protected, without it.
"""

from indexer.records.exchange.checking import (
    MAX_ASKS,
    MAX_EVIDENCE,
    Checked,
    Fault,
    RowProblem,
    Severity,
    check,
    costs_record,
    fallback_id,
)
from indexer.records.exchange.kinds import (
    MODELS,
    AllianceIn,
    AskIn,
    CompanyIn,
    EvidenceIn,
    LabIn,
    NeedIn,
    PartnerIn,
    Record,
    SchoolIn,
    TermIn,
)

__all__ = [
    "MAX_ASKS",
    "MAX_EVIDENCE",
    "MODELS",
    "AllianceIn",
    "AskIn",
    "Checked",
    "CompanyIn",
    "EvidenceIn",
    "Fault",
    "LabIn",
    "NeedIn",
    "PartnerIn",
    "Record",
    "RowProblem",
    "SchoolIn",
    "Severity",
    "TermIn",
    "check",
    "costs_record",
    "fallback_id",
]
