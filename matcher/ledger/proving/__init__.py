"""Proving the ledger: the rows against their hashes, the rules against the rows, the database against the code.

Stands on `rows` and `rules`; what anybody else does with a proof (the command, the night, a rehearsed restore) stands
above it.
"""
