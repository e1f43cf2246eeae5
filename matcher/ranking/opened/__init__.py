"""What is opened once and kept new between requests: the records of a moment, an index ready to search, a server's."""
