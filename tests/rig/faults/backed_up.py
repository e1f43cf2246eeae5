"""What tests of backups share: a home to back up, a child that dies at a file operation, damage, and a look for it.

In: a database, or work to do. Out: settings of a filled home; how far the work came; what stands under a backup's name
and is none.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Engine

from api.backups.backup import BackupError, backups_in, verified_manifest
from indexer.settings import Settings
from matcher.ledger.rows.evidence import keep
from matcher.ledger.rows.pseudonyms import make_key
from tests.rig.worlds.ledger_world import build_ledger_world

EVIDENCE_FILES = 6


def fill_home(engine: Engine, settings: Settings) -> Settings:
    """Store people, a key and files of evidence; the engine is closed, so that a child may open its own."""
    build_ledger_world(engine)
    settings.home.mkdir(exist_ok=True)
    make_key(settings.home)
    for number in range(EVIDENCE_FILES):
        keep(settings.home, f"evidence {number}".encode() * 100)
    engine.dispose()
    return settings


def forked(work: Callable[[], None], *, kill_at: int | None = None) -> int:
    """Do work in a child; with `kill_at` it dies of SIGKILL at that file operation.

    Returns:
        How many file operations it began.
    """
    reading_end, writing_end = os.pipe()
    child = os.fork()
    if child == 0:
        begun = 0

        def count(event: str, _arguments: object) -> None:
            nonlocal begun
            if event == "open" or event.startswith(("os.", "shutil.", "tempfile.")):
                begun += 1
                if begun == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        # Whatever happens, the child ends here: an error that left this function would go on with the tests as a second
        # pytest.
        try:
            work()
            os.write(writing_end, str(begun).encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(writing_end)
    _, status = os.waitpid(child, 0)
    said = os.read(reading_end, 20)
    os.close(reading_end)
    assert os.WIFSIGNALED(status) == (kill_at is not None), status
    assert kill_at is not None or os.waitstatus_to_exitcode(status) == 0
    return int(said or b"0")


def damaged(settings: Settings) -> list[str]:
    """Return what stands under a backup's name and is none."""
    found = []
    for folder in backups_in(settings.backups_path):
        try:
            verified_manifest(folder)
        except BackupError as error:
            found.append(str(error))
    return found


def flip(path: Path) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
