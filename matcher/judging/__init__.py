"""How good the ranking is: measured against judgements, learned from them, and held against the generation before.

In: an opened matcher, TREC judgements, experts' decisions. Out: measures with their intervals, the weights of the
ranker, a verdict on a new index, and in `panel/` what two people say of pooled results. Nobody has to believe a
ranking.
"""
