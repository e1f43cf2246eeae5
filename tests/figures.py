"""What a proof measured, kept beside the tests: `figure` notes it, `python -m tests.figures` prints the last ones.

In: a name and numbers. Out: a line on stdout, one in `.test-home/figures.jsonl`, and from these the table that stands
in the README. It exists so that a figure in the README is one that a test printed, on a known day and machine.
"""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import orjson

KEPT = Path(__file__).parent.parent / ".test-home" / "figures.jsonl"

Number = int | float | str


def figure(name: str, **values: Number) -> None:
    """Note what was measured, for instance `figure("power cut on publish", states=2000, wrong=0)`."""
    line = {"name": name, "values": values, "day": time.strftime("%Y-%m-%d"), "machine": _machine()}
    print(f"\n{name}: {_told(values)}")
    KEPT.parent.mkdir(exist_ok=True)
    # One short write in append mode, so that tests of several processes don't mix their lines.
    with KEPT.open("ab") as file:
        file.write(orjson.dumps(line) + b"\n")


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _told(values: dict[str, Number]) -> str:
    return ", ".join(
        f"{key.replace('_', ' ')} {value:,}" if isinstance(value, int | float) else f"{key.replace('_', ' ')} {value}"
        for key, value in values.items()
    )


def main() -> None:
    """Print the last figure of each name, as a table in Markdown."""
    lines = [orjson.loads(line) for line in KEPT.read_bytes().splitlines()] if KEPT.exists() else []
    last = {line["name"]: line for line in lines}
    print("| proof | figures | day, machine |\n|---|---|---|")
    for name, line in sorted(last.items()):
        print(f"| {name} | {_told(line['values'])} | {line['day']}, {line['machine']} |")


if __name__ == "__main__":
    main()
