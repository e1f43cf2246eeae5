"""Who may do and see what, and who somebody is: the policy, visible rows, sessions, keys, passwords, sign-on."""
