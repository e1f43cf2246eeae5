"""The guide: its chapters, and what shows them."""
