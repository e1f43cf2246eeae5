"""Telling people: what they are told of, whether at once or gathered, and the outbox that nothing is lost from."""
