"""The pages of judging: the list of sessions, one session, and one pair of a need and a lab at a time."""
