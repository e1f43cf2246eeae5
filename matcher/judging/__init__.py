"""How good the ranking is: measured against judgements, learned from them, and held against the generation before.

In: an opened matcher, TREC judgements, experts' decisions. Out: measures with their intervals, the weights of the
ranker, and a verdict on a new index. Nobody has to believe a ranking.
"""
