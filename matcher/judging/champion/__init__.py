"""Learning from what experts decide: what teaches, what is learned of it, and what has to be shown before it is used.

In: decisions on what was shown, and grades. Out: challengers to the ranker in use, each beside it with intervals. It
exists so that a ranking changes for a reason that was measured, and by a person.
"""
