"""Shortlists: chosen, worded, taken out and linked by experts; opened by whoever has a link."""
