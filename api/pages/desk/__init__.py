"""The desk: what waits for each role, and for an expert the one list of the day."""
