"""All tables of this layer, known to the metadata once this is imported.

In: nothing. Out: nothing but the import of every module that has tables. It
exists for whoever must know all of them: drafting a migration, comparing models
with a database, opening a server.
"""

from indexer.records.mended import merged, retired, schools
from matcher import erasure
from matcher.handouts import pictures, shortlists
from matcher.judging.panel import grades
from matcher.ledger.figures import gender, ladder, sufficiency
from matcher.ledger.rows import (
    chain,
    entries,
    evidence,
    links,
    motions,
    periods,
    pseudonyms,
    result_claims,
    school_totals,
    steps,
)
from matcher.ledger.rules import configuration, duties, model_cases, months, similarity
from matcher.notices import outbox, readers
from matcher.portfolio import kept_plans
from matcher.review import (
    case_teams,
    cases,
    clients,
    decisions,
    intake,
    people,
    proposals,
    steering,
)
from matcher.review.conversation import answers, attachments, corrections, lab_questions, meetings, signing, thread
from matcher.review.desk import handing_on, putting_off, saved_views
from matcher.review.joint import kept_chains, visits
from matcher.review.mapped import field_map
from matcher.review.own_lab import researchers

__all__ = [
    "answers",
    "attachments",
    "case_teams",
    "cases",
    "chain",
    "clients",
    "configuration",
    "corrections",
    "decisions",
    "duties",
    "entries",
    "erasure",
    "evidence",
    "field_map",
    "gender",
    "grades",
    "handing_on",
    "intake",
    "kept_chains",
    "kept_plans",
    "lab_questions",
    "ladder",
    "links",
    "meetings",
    "merged",
    "model_cases",
    "months",
    "motions",
    "outbox",
    "people",
    "periods",
    "pictures",
    "proposals",
    "pseudonyms",
    "putting_off",
    "readers",
    "researchers",
    "result_claims",
    "retired",
    "saved_views",
    "school_totals",
    "schools",
    "shortlists",
    "signing",
    "similarity",
    "steering",
    "steps",
    "sufficiency",
    "thread",
    "visits",
]
