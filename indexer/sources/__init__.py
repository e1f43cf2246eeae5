"""Registers and files that exist elsewhere, read into the exchange format."""
