"""Conversations over HTTP: answers, threads, meetings, links of mails, corrections."""
