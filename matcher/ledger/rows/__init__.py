"""What is stored: the ledger's immutable rows, and what proves them.

In: results, decisions about them, evidence. Out: rows in hash chains, in quarters that are closed. It exists as the
lowest room of the ledger: it knows no rule that the programme may change and no figure.
"""
