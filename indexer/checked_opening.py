"""A generation opened with every check there is.

In: its folder. Out: the snapshot, or a refusal that says what is wrong. Every
byte is compared with the manifest, no header is believed that announces more
than its file holds, counts must be those of the manifest, and the canaries
must sing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from indexer.canaries import check_canaries
from indexer.manifest import AGAIN, SnapshotError, verified_manifest
from indexer.snapshot_files import Snapshot, read_files
from indexer.wording import T_


def open_generation(folder: Path) -> Snapshot:
    """Return a generation after checking every byte, every count and its canaries.

    Raises:
        SnapshotError: something is missing, damaged or not as it was made.
    """
    manifest = verified_manifest(folder)
    try:
        snapshot = read_files(folder, manifest)
        _check_counts(snapshot, manifest)
        check_canaries(snapshot, manifest["canaries"])
    except Exception as error:
        # Whatever a damaged file makes a library say: it is the file.
        said = str(error) or type(error).__name__
        raise SnapshotError(
            T_("%(folder)s can't be read (%(said)s); %(again)s", folder=folder, said=said, again=AGAIN)
        ) from error
    return snapshot


def _check_counts(snapshot: Snapshot, manifest: dict[str, Any]) -> None:
    counts = {"labs": len(snapshot.lab_ids), "passages": len(snapshot.passages)}
    if counts != manifest["counts"]:
        raise ValueError(T_("it has %(counts)s instead of %(expected)s", counts=counts, expected=manifest["counts"]))
    if np.any(np.diff(snapshot.lab_of_passage) < 0):
        raise ValueError(T_("its passages do not stand lab by lab"))
    for field in snapshot.fields:
        rows = field.rows
        if rows.shape != (field.index.size,) or (
            rows.size and not 0 <= rows.min() <= rows.max() < len(snapshot.passages)
        ):
            raise ValueError(T_("the vectors of %(name)s are not those of its passages", name=field.name))
