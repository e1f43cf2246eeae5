"""What the API says of labs for a need: matches one by one, and teams of them."""
