"""Commands that mend records."""
