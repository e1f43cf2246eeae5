"""Blind grading of pooled results by two people: what they get to grade, what they say, how far they agree.

In: rankings of several systems, two people's grades. Out: a pool that gives no ranker away, append-only words on it,
agreement, and judgements that any evaluation can use.
"""
