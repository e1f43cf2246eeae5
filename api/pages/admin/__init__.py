"""Administration: the service as it runs, accounts, and the rules that the programme office sets."""
