"""Sending: a letter as a mail or a webhook's message, the two wires, and the one loop that delivers."""
