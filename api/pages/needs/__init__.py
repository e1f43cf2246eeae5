"""Needs in pages: the need itself, the labs ranked for it, and the card of each."""
