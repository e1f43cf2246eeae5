"""What a day begins with: what waits for each role."""
