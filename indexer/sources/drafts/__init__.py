"""Drafts of records out of what people write in prose: letters, telephone notes, forms, curricula."""
