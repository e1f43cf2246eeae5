"""Backups, their restore and its rehearsal, and the people who stay erased after one."""
