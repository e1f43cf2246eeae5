"""What leaves the house, from the command line."""
