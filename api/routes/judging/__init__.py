"""Judging by two people: sessions are begun and read, pairs are graded and settled."""
