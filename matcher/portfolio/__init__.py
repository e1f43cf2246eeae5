"""All needs at once: which lab for which need, where labs and experts can carry only so much."""
