"""All tables of this layer, known to the metadata once this is imported.

In: nothing. Out: nothing but the import of every module that has tables. It
exists for whoever must know all of them: drafting a migration, comparing models
with a database, opening a server.
"""

from matcher import (
    cases,
    claims,
    clients,
    decisions,
    drafts,
    erasure,
    field_map,
    intake,
    people,
    profile_edits,
    proposals,
    releases,
)
from matcher.ledger import tables as ledger_tables

__all__ = [
    "cases",
    "claims",
    "clients",
    "decisions",
    "drafts",
    "erasure",
    "field_map",
    "intake",
    "ledger_tables",
    "people",
    "profile_edits",
    "proposals",
    "releases",
]
