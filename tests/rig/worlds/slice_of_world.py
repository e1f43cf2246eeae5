"""The records of the demo world's first cluster, as files: enough to import, index and match, and quickly so.

In: a folder. Out: four JSONL files in it.
"""

from __future__ import annotations

import json
from pathlib import Path

from fixtures import world_path


def write_slice(folder: Path) -> None:
    """Write the records of the demo world's first cluster into a folder."""
    for name, prefix in (("schools", ""), ("companies", "co-1-"), ("labs", "lab-1-"), ("needs", "need-1-")):
        lines = (world_path() / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if json.loads(line)["id"].startswith(prefix)]
        (folder / f"{name}.jsonl").write_text("\n".join(kept) + "\n", encoding="utf-8")
