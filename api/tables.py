"""All tables of all layers, known to the metadata once this is imported.

In: nothing. Out: nothing but the import of every module that has tables. It
exists for whoever must know all of them: drafting a migration, comparing models
with a database.
"""

from api.access import credentials, identities, second_factor
from api.jobs import import_drafts, job_queue
from api.letters import renewal
from api.requests import idempotency
from api.trail import audit_trail
from matcher import tables

__all__ = [
    "audit_trail",
    "credentials",
    "idempotency",
    "identities",
    "import_drafts",
    "job_queue",
    "renewal",
    "second_factor",
    "tables",
]
