"""All needs at once: plans for whom to give what."""
