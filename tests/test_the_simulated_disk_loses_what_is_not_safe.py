"""The simulated disk, on which the proofs by power cut rest, loses what a real one may lose and keeps what is safe."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from tests.rig.faults.power_cuts import Disk, State, UnknownCallError, states
from tests.rig.faults.recorded_work import Call

NEW, FULL = b"new" * 2_000, 6_000


class Program:
    """Makes up the calls of a program on one disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.disk = Disk(root)

    def call(self, name: str, *arguments: str, result: int = 0) -> None:
        self.disk.apply(Call(1, name, arguments, result))

    def write_file(self, name: str, content: bytes) -> None:
        self.call("openat", "AT_FDCWD", f'"{self.hex(name)}"', "O_WRONLY|O_CREAT|O_TRUNC", "0666", result=3)
        data = "".join(f"\\x{byte:02x}" for byte in content)
        self.call("write", f"3<{self.hex(name)}>", f'"{data}"', str(len(content)), result=len(content))

    def sync(self, name: str = ".") -> None:
        self.call("fsync", f"4<{self.hex(name)}>")

    def rename(self, old: str, new: str) -> None:
        self.call("rename", f'"{self.hex(old)}"', f'"{self.hex(new)}"')

    def hex(self, name: str) -> str:
        return "".join(f"\\x{byte:02x}" for byte in os.fsencode(self.root / name))

    def found(self) -> list[State]:
        return list(islice(states(self.disk.top, Random(1)), 200))


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "file").write_bytes(b"old")
    return Program(tmp_path)


def test_bytes_that_were_not_synced_may_be_missing_torn_or_zero(program: Program) -> None:
    program.write_file("file", NEW)
    found = {state["file"] or b"" for state in program.found()}
    assert {b"old", b"", NEW, bytes(FULL)} <= found
    torn = {content for content in found if content.strip(b"\0") and content not in (b"old", NEW)}
    assert {content[start : start + 512] for content in torn for start in (0, 512)} >= {NEW[:512], bytes(512)}
    assert min(len(content) for content in torn) < max(len(content) for content in torn) == FULL


def test_bytes_that_were_synced_stay(program: Program) -> None:
    program.write_file("file", NEW)
    program.sync("file")
    assert program.found() == [{"file": NEW}] * 2


def test_a_name_is_safe_once_its_folder_is(program: Program) -> None:
    program.write_file("new", NEW)
    program.sync("new")
    assert {state.get("new") for state in program.found()} == {None, NEW}
    program.sync()
    assert program.found() == [{"file": b"old", "new": NEW}] * 2


def test_a_rename_happens_whole_or_not_at_all_but_may_overtake_the_bytes(program: Program) -> None:
    program.write_file("new", NEW)
    program.sync()
    program.rename("new", "file")
    found = program.found()
    assert {tuple(sorted(state)) for state in found} == {("file", "new"), ("file",)}
    assert {b"old", b"", NEW, bytes(FULL)} <= {state["file"] for state in found}


def test_what_it_does_not_know_stops_it(program: Program) -> None:
    with pytest.raises(UnknownCallError, match="fallocate"):
        program.call("fallocate", f"3<{program.hex('file')}>", "0", "0", "4096")
    with pytest.raises(UnknownCallError, match="mmap"):
        program.call("mmap", "NULL", "4096", "PROT_READ|PROT_WRITE", "MAP_SHARED", f"3<{program.hex('file')}>", "0")
