"""Shortlists over HTTP: made and sent by experts, opened by whoever has a link."""
