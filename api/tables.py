"""All tables of all layers, known to the metadata once this is imported.

In: nothing. Out: nothing but the import of every module that has tables. It
exists for whoever must know all of them: drafting a migration, comparing models
with a database.
"""

from api import audit_trail, break_glass, credentials, idempotency, identities, jobs
from matcher import tables

__all__ = ["audit_trail", "break_glass", "credentials", "idempotency", "identities", "jobs", "tables"]
