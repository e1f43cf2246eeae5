"""What waits for whom: counted, put in order, put off, handed on."""
