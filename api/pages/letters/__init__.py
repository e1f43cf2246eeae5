"""Pages of notices and of what leaves: the list, one's choices, webhooks, forgotten passwords, stopping mail."""
