"""The people's side: who works with the product, the needs that come in, what was proposed, decided and made of it.

In: what companies, researchers and experts say. Out: rows in the database, each step kept with who took it and
when: needs on their way, proposals as they were shown, decisions, cases, claims, reminders, and the map of the
field. Nothing here counts for the Ministry: that is the ledger's.
"""
