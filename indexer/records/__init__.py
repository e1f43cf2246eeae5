"""From files to records and back: what a record may hold, how it is read, stored, told as plain values and written.

In: files, forms and tables. Out: rows that keep the rules of the exchange format, the plain values that everything
above reads, and files that can be read back. Nothing here knows of vectors or of an index.
"""
