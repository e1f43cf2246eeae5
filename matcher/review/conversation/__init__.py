"""What company, lab and expert say to each other about one pairing."""
