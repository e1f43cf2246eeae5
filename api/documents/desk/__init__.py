"""What the server says on a desk, beside an expert's queue."""
