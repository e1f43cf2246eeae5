"""Lists as people keep them: from the bytes of a file to numbered rows of values by field.

In: CSV, XLSX, XLS and ODS files of other people. Out: grids of cells, the tables in them with their headings
understood, values as the exchange format holds them, and what was guessed, left out or can't be read. Nothing here
knows of the database.
"""
