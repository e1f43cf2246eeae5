"""How a result comes to count: the programme's configured rules, and the verbs that obey them.

In: an alliance's report, a committee's or the office's word, documents of rules as versions. Out: entries and steps
of `matcher.ledger.rows`. It exists so that what may change (a value with its date, reason and author) and who may
decide what stand in one room.
"""
