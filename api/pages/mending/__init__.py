"""Pages by which the office mends records."""
