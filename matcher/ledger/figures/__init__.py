"""What the rows add up to: the programme's figures, and how alliances stand.

In: the rows and the rules, as of a moment. Out: figures with the entries behind them, forecasts, warnings and
ladders, self-sufficiency, gender statistics. It exists so that no figure is stored where it could differ from its
rows.
"""
