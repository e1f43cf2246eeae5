"""What a researcher learns of the own lab without learning of any need."""
