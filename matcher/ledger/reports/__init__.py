"""The reports that there are, before they have a format.

In: a day, perhaps a year and alliances. Out: documents of tables whose cells name the entries behind them. It
exists so that a report is written once for the command line, the server and every format.
"""
