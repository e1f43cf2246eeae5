"""Stands for the process that opens an index first, and dies of it in a way that the environment names."""

from __future__ import annotations

import os
import signal
import sys
import time

from indexer.index import opening, vectors


def main() -> int:
    """Die, hang, or read without looking at FAISS's header first."""
    way = os.environ["DYING"]
    if way == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if way == "hang":
        time.sleep(60)
    vectors._check_header = lambda *_, **__: None
    return opening.main()


if __name__ == "__main__":
    sys.exit(main())
