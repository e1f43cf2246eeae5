"""Routes by which the office mends records."""
