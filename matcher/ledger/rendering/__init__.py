"""Reports as files: XLSX, ODS, DOCX, ODT, CSV, PDF, HTML, JSON.

In: a report's document and a language. Out: the bytes of a file. It exists so that no report knows a format, and
every format says the same.
"""
