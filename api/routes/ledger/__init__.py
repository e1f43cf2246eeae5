"""The ledger and the programme over HTTP: results, review, figures, alliances, the programme's own side."""
