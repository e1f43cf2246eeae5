"""All tables of the ledger, known to the metadata once this is imported.

In: nothing. Out: nothing but the import of every module that has tables.
"""

from matcher.ledger import (
    chain,
    claims,
    closing,
    configuration,
    entries,
    evidence_files,
    gender,
    ladder,
    motions,
    persons,
    points,
    school_totals,
    similar,
    steps,
    sufficiency,
)

__all__ = [
    "chain",
    "claims",
    "closing",
    "configuration",
    "entries",
    "evidence_files",
    "gender",
    "ladder",
    "motions",
    "persons",
    "points",
    "school_totals",
    "similar",
    "steps",
    "sufficiency",
]
