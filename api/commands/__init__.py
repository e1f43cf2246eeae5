"""The command line: what each command of `gloria` takes, does and says.

`records`: import, export, synth, demo. `matching`: reindex, map, match, run, evaluate. `people`: user, erase.
`ledger`: ledger, report, audit. `service`: serve, backup, restore. `doctor`: doctor. What they share: `screen`
(where and in which language things are said), `printing` (matches on a terminal), `refusals` (what is said of an
error). `gloria nightly` is in `api.nightly`. Nothing heavy is imported before a command runs.
"""
