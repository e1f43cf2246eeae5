"""What is sent and answered about notices, feeds, webhooks, mail and forgotten passwords."""
