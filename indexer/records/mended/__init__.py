"""What was mended in the records: which are retired, which are one, what a school was called before."""
