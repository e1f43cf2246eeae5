"""`gloria serve` started again and again without waiting for its imports: a process that has them, and forks.

In: what to serve and how. Out: a real server process, as `gloria serve` runs it. It exists because the imports take two
seconds of processor time, and a proof by killing servers needs dozens of starts.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from indexer.settings import Settings
from tests.serving import REPOSITORY, environment_of

Alive = Callable[[], bool]


class Forker:
    """Starts servers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @contextmanager
    def server(self, settings: Settings, port: int, program: str) -> Iterator[Alive]:
        """Run a server until the block ends, then kill it."""
        asked = {
            "program": program,
            "arguments": ["serve", "--port", str(port)],
            "environment": environment_of(settings),
            "log": str(settings.home / "server.log"),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        number = int(self._process.stdout.readline())

        def is_alive() -> bool:
            with suppress(ProcessLookupError):
                os.kill(number, 0)
                return True
            return False

        try:
            yield is_alive
        finally:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
            while is_alive():
                time.sleep(0.001)


@contextmanager
def forking() -> Iterator[Forker]:
    """Start the process that forks, and end it."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.forked_serving"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Forker(process)
        finally:
            process.kill()


def _serve(asked: dict[str, object]) -> None:
    """Become a server."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(str(asked["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.clear()
    os.environ.update(asked["environment"])  # type: ignore[call-overload]
    sys.argv = ["gloria", *asked["arguments"]]  # type: ignore[misc]
    runpy.run_module(str(asked["program"]), run_name="__main__")


def main() -> None:
    """Fork a server for every line."""
    from api import app, cli  # noqa: F401 (what takes so long)

    # Nobody waits for them: the system clears them away.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        number = os.fork()
        if number == 0:
            _serve(json.loads(line))
            os._exit(0)
        print(number, flush=True)


if __name__ == "__main__":
    main()
