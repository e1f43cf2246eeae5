"""Who is seen, beside what they deserve: an office's rule for near ties, and what it goes by."""
