"""A workbook opened by a process of its own: the program that does it, and the bounds of such a process.

In: the bytes of a file on standard input. Out: its sheets, and what is wrong with it, as a pickle on standard output,
which its parent, of the same code, reads. It exists apart from what reads whole lists so that the process imports
little: whoever sends a list waits for it.
"""

from __future__ import annotations

import pickle
import sys

from api.jobs.bounds import bound
from indexer.records.lists.sheets import read_sheets

MOST_BYTES = 3 * 2**30
"""Address space of the process."""
WITHIN_S = 180.0


def _main(name: str) -> None:
    bound(int(WITHIN_S), MOST_BYTES)
    pickle.dump(read_sheets(sys.stdin.buffer.read(), name), sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    _main(*sys.argv[1:])
