"""Mending records: retiring what is no longer used, making one of what is one, telling duplicates."""
