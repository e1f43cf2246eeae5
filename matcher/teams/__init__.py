"""What goes beyond a list: labs that cover a need together, and what a lab would have to show to be among them."""
