"""Routes of notices and of what leaves: choices, feeds, webhooks, mail, forgotten passwords."""
