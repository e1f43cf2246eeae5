"""What researchers do with their own labs, and what they learn of them without learning of any need."""
