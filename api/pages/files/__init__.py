"""Pages on which people take out what they may see, and bring in what others sent them."""
