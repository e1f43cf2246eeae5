"""The import wizard: a list is sent, looked through, mended in place, imported, or taken back if it was wrong."""
