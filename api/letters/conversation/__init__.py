"""What letters about conversations carry: links of one click, and meetings for calendars."""
