"""Figures that are written down: what proofs noted, and what commands measure, as one page of Markdown.

In: names and numbers that tests note with `figure`, and the commands that measure ranking and speed. Out: a line on
stdout and one in `.test-home/figures.jsonl` for each note; by `python -m tests.rig.figures PAGE` (`make figures`) the
page `api/FIGURES.md`, by `python -m tests.rig.figures` alone the table of the proofs. It exists so that a written
figure is one that a command printed, on a known day and machine, and so that nobody types one.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson

REPOSITORY = Path(__file__).parents[2]
OPEN_DATA = REPOSITORY.parent / "shared" / "data"
MEASURES = ("nDCG@10", "RR", "R@10")
SPEED = (
    ("Decisions stored by one worker, 16 clients", "python -m tests.rig.load.decisions"),
    ("Matches over HTTP, 1,000 labs, new needs", "python -m tests.rig.load.matches --seconds 8 --rounds 2"),
    (
        "Every page beside two clients that match, 1,000 labs, 500 open needs",
        "python -m tests.rig.load.pages --labs 1000 --needs 500 --rounds 4",
    ),
    ("A ledger of 100,000 entries", "python -m tests.rig.load.ledger"),
)
"""What is measured by a command that prints its own figures."""
PAGE = """\
# Figures

Written by `make figures`; nothing here is typed by hand. Measured on {day}, {machine}, with the releases of
`constraints.txt`.

## Ranking quality

`gloria evaluate --labs L --needs N --qrels Q --baselines`. A baseline scores a lab by its best passage, `size` by how
many it has, which shows how much of a figure is volume; in brackets stands the 95 % interval of our difference to it
(paired bootstrap over needs). `demo_world` is in the repository; the others are open data (CORDIS, European Union,
CC BY 4.0; ACL Anthology, CC BY 4.0), measured where they lie beside it. The demo world and its grades come from one
team (`fixtures/README.md`), so its absolute figures are high; CORDIS's are low, since only a project's own consortium
counts as relevant. Compare systems.

{quality}

## Speed

`gloria --help`, five times: {start}.

{speed}

## Proofs

By crash, damage, power cut and load: what the tests noted when they ran last, the whole of them by `make test-long`.
Each has a control with one promise taken out, which it must find.

{proofs}
"""
KEPT = REPOSITORY / ".test-home" / "figures.jsonl"

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


def proofs() -> list[str]:
    """Return the last figure of each name, as a table in Markdown."""
    lines = [orjson.loads(line) for line in KEPT.read_bytes().splitlines()] if KEPT.exists() else []
    last = {line["name"]: line for line in lines}
    rows = [f"| {name} | {_told(line['values'])} | {line['day']}, {line['machine']} |" for name, line in last.items()]
    return ["| proof | figures | day, machine |", "|---|---|---|", *sorted(rows)]


def collections() -> dict[str, Path]:
    """Return the judged collections that are here: the demo world, and open data beside the repository."""
    found = {"demo_world": REPOSITORY / "fixtures" / "world"}
    found |= {name: OPEN_DATA / name for name in ("cordis_cleantech", "zh_en_titles")}
    return {name: folder for name, folder in found.items() if (folder / "qrels.txt").exists()}


def quality() -> list[str]:
    """Measure the ranking of every collection beside its baselines; return a table in Markdown."""
    rows = ["| collection (needs) | system | " + " | ".join(MEASURES) + " |", "|---" * (2 + len(MEASURES)) + "|"]
    for name, folder in collections().items():
        files = [f"--{kind}={folder / file}" for kind, file in (("labs", "labs.jsonl"), ("needs", "needs.jsonl"))]
        given = ["evaluate", *files, f"--qrels={folder / 'qrels.txt'}", "--baselines", "--json"]
        measured = orjson.loads(_run([sys.executable, "-m", "api.cli", *given]))
        rows += [_quality_row(name, measured, system) for system in measured["systems"]]
    return rows


def _quality_row(name: str, measured: dict[str, Any], system: str) -> str:
    cells = []
    for measure in MEASURES:
        interval = measured["differences"].get(system, {}).get(measure)
        between = f" [{interval[1]:+.3f}, {interval[2]:+.3f}]" if interval else ""
        cells.append(f"{measured['systems'][system][measure]:.3f}{between}")
    return f"| {name} ({measured['n_needs']}) | {system} | " + " | ".join(cells) + " |"


def _run(command: list[str]) -> str:
    # Vectors of its own: those that come with the tests are rounded.
    environment = {**os.environ, "GLORIA_CACHE": str(REPOSITORY / ".test-home" / "figures"), "GLORIA_LANG": "en"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def _quick_start_s() -> str:
    command = [sys.executable, "-m", "api.cli", "--help"]
    took = []
    for _ in range(5):
        started = time.perf_counter()
        _run(command)
        took.append(time.perf_counter() - started)
    return f"{min(took):.2f} to {max(took):.2f} s"


def page() -> str:
    """Measure everything, which takes some ten minutes on two cores, and return the page."""
    speed = []
    for title, command in SPEED:
        printed = _run([sys.executable, *shlex.split(command)[1:]]).strip()
        speed.append(f"### {title}\n\n`{command}`\n\n```text\n{printed}\n```")
    return PAGE.format(
        day=time.strftime("%Y-%m-%d"),
        machine=_machine(),
        quality="\n".join(quality()),
        start=_quick_start_s(),
        speed="\n\n".join(speed),
        proofs="\n".join(proofs()),
    )


def main() -> None:
    """Write the page that is named, or print the table of the proofs."""
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page(), encoding="utf-8")
    else:
        print("\n".join(proofs()))


if __name__ == "__main__":
    main()
