"""What is written down of what happens: the audit trail, views on their way into it, the nights as files."""
