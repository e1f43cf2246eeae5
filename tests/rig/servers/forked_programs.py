"""Commands and servers begun without waiting for their imports: children of a process that has them already.

In: the arguments of a command line, its environment and its three streams. Out: a real process that runs `gloria` with
them, to be waited for, signalled or killed. It exists because the imports take two seconds of processor time, and the
tests begin hundreds of commands and dozens of servers. What a start itself must keep to (how quick it is, which
modules it loads, how it ends when a reader goes away) is shown by starts without it.
"""

from __future__ import annotations

import array
import atexit
import gc
import io
import json
import locale
import multiprocessing
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import uvicorn._subprocess

from api.backups import rehearsal
from indexer import database
from indexer.encoders.encoder import load_encoder
from indexer.index import dictionary, opening
from indexer.settings import Settings
from indexer.wording import recognised
from matcher.ledger.proving import database_rules
from tests.rig.servers.warmed_application import (
    application,
    share_the_certificates,
    share_the_compiled_statements,
    share_the_encoder,
    share_the_schema,
)

REPOSITORY = Path(__file__).parents[3]
Alive = Callable[[], bool]
_COMMAND_LINE = "api.cli"
_PACKAGES = ("indexer", "fixtures", "matcher", "api")
_IMPORTED_LATE = (
    "alembic.command",
    "bm25s",
    "faiss",
    "ir_measures",
    "openTSNE",
    "openpyxl",
    "rich.progress",
    "rich.table",
    "sentencepiece",
    "uvicorn",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
)
"""What takes long of what the product imports only once a command needs it; not torch, which few tests need."""
_ERROR = ("error", None, Warning, None, 0)
"""What `PYTHONWARNINGS=error` puts among the filters."""


class Forked:
    """A process that was begun, with what `subprocess.Popen` offers of one."""

    def __init__(self, pid: int, ended: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended

    def poll(self) -> int | None:
        """Return how it ended: an exit status, or minus a signal's number; None while it runs."""
        return self._heard(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return how it ended."""
        code = self._heard(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return code

    def ends_before(self, other: socket.socket) -> bool:
        """Wait for its end, or for that of a connection, and return whether it ended first."""
        ready, _, _ = select.select([self._ended, other], [], [])
        return self._ended in ready

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _heard(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            ready, _, _ = select.select([self._ended], [], [], timeout)
            if ready:
                said = self._ended.recv(64)
                assert said, "the process that forks is gone"
                self.returncode = int(said)
                self._ended.close()
        return self.returncode


class _OwnChild(Forked):
    """The same for a child of this process itself."""

    def __init__(self, pid: int) -> None:
        self._ending = os.pidfd_open(pid)
        super().__init__(pid, socket.socket())

    def _heard(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._ending], [], [], timeout)[0]:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self._ending)
            self._ended.close()
        return self.returncode


class Forker:
    """Begins processes; may be used by several threads."""

    def __init__(self, asking: socket.socket) -> None:
        self._asking = asking
        self._turn = threading.Lock()

    def begun(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        streams: Sequence[int],
        program: str = _COMMAND_LINE,
        own_group: bool = False,
        folder: str = str(REPOSITORY),
    ) -> Forked:
        """Begin `python -m PROGRAM ARGUMENTS...` in a folder, with that whole environment.

        `streams` are the descriptors of its stdin, stdout and stderr.
        """
        ended, ending = socket.socketpair()
        asked = {
            "program": program,
            "arguments": [_in_hex(argument) for argument in arguments],
            "environment": {_in_hex(name): _in_hex(value) for name, value in environment.items()},
            "own_group": own_group,
            "folder": folder,
        }
        content = json.dumps(asked).encode()
        passed = array.array("i", [*streams, ending.fileno()])
        with self._turn, ending:
            self._asking.sendmsg(
                [len(content).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed.tobytes())]
            )
            self._asking.sendall(content)
            pid = int.from_bytes(_exactly(self._asking, 8), "big")
        return Forked(pid, ended)

    def remember(self, generation: str) -> None:
        """Let children know that a process has opened this index without harm, as a server that ran before them."""
        content = json.dumps({"opened": generation}).encode()
        with self._turn:
            self._asking.sendall(len(content).to_bytes(8, "big") + content)

    def run(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        given: bytes = b"",
        timeout_s: float = 300,
        program: str = _COMMAND_LINE,
    ) -> tuple[int, bytes, bytes]:
        """Run a command with these bytes on stdin; return how it ended and what it wrote to stdout and stderr."""
        # Files, since a pipe would have to be read from while the command runs.
        with _in_memory("in", given) as stdin, _in_memory("out") as stdout, _in_memory("err") as stderr:
            process = self.begun(arguments, environment, streams=[stdin, stdout, stderr], program=program)
            try:
                code = process.wait(timeout_s)
            finally:
                process.kill()
            return code, _content(stdout), _content(stderr)

    @contextmanager
    def server(self, settings: Settings, port: int, program: str) -> Iterator[Alive]:
        """Run a server until the block ends, then kill it."""
        from tests.rig.servers.served import environment_of

        log = os.open(settings.home / "server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        process = self.begun(
            ["serve", "--port", str(port)], environment_of(settings), streams=[nothing, log, log], program=program
        )
        os.close(nothing)
        os.close(log)
        try:
            yield lambda: process.poll() is None
        finally:
            process.kill()
            process.wait()


@contextmanager
def forking() -> Iterator[Forker]:
    """Start the process that forks, and end it."""
    asking, answering = socket.socketpair()
    # As for commands in a process of their own: no part of the environment that is read when a module is imported
    # may differ between them.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GLORIA_")}
    environment |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment["PYTHONWARNINGS"] = "error"
    with answering:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.rig.servers.forked_programs", str(answering.fileno())],
            cwd=REPOSITORY,
            env=environment,
            pass_fds=[answering.fileno()],
            stdin=subprocess.DEVNULL,
        )
    try:
        assert asking.recv(1) == b"r"
        yield Forker(asking)
    finally:
        # It ends by itself once nobody can ask any more; so do its children when they are killed with it.
        asking.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@cache
def forker() -> Forker:
    """Return the one of this process, started at the first call and ended with it."""
    began = forking()
    started = began.__enter__()
    atexit.register(began.__exit__, None, None, None)
    return started


_COMMAND = """
import json, os, signal, socket, sys
asking = socket.socket(socket.AF_UNIX)
asking.connect({path!r})
asked = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
socket.send_fds(asking, [len(asked).to_bytes(8, "big")], [0, 1, 2])
asking.sendall(asked)
code = int(asking.recv(64))
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""
"""What a shell runs: it only asks for the real command, hands it its streams and ends as it does."""


@contextmanager
def command_for_shells(path: Path) -> Iterator[None]:
    """Let a shell begin `gloria` in children of the warm process by running `path`, until the block ends.

    Whoever ends what the shell runs ends the real command too.
    """
    # In a folder of its own: the path of a socket may have no more than 107 bytes.
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as door:
        door.bind(f"{folder}/door")
        door.listen()
        path.write_text(f"#!{sys.executable} -IS\n{_COMMAND.format(path=f'{folder}/door')}", encoding="utf-8")
        path.chmod(0o755)
        opened = threading.Thread(target=_admit, args=(door,))
        opened.start()
        yield
        door.shutdown(socket.SHUT_RDWR)
        opened.join()


def _admit(door: socket.socket) -> None:
    while True:
        try:
            asked, _ = door.accept()
        except OSError:
            return
        threading.Thread(target=_carry_out, args=(asked,)).start()


def _carry_out(asked: socket.socket) -> None:
    with asked:
        length, streams, _, _ = socket.recv_fds(asked, 8, 3)
        arguments, environment, folder = json.loads(_exactly(asked, int.from_bytes(length, "big")))
        process = forker().begun(arguments, environment, streams=streams, folder=folder)
        for descriptor in streams:
            os.close(descriptor)
        if process.ends_before(asked):
            asked.sendall(str(process.wait()).encode())
        else:
            process.terminate()
            process.wait(60)


class _Subprocess:
    """Stands for the module `subprocess` where the product begins a program of its own.

    That is where an index is opened for the first time, in a process that may die, and where a backup is rehearsed.
    """

    DEVNULL, TimeoutExpired = subprocess.DEVNULL, subprocess.TimeoutExpired

    @staticmethod
    def Popen(command: list[str], **more: Any) -> Forked:  # noqa: N802 (as the module says it)
        """Begin the product's own program as a child of the warm process."""
        with Path(os.devnull).open() as nothing:
            streams = [one.fileno() for one in (nothing, more["stdout"], more["stderr"])]
            return forker().begun(
                command[3:], more["env"], streams=streams, program=command[2], folder=str(more["cwd"])
            )

    @staticmethod
    def run(command: list[str], *, check: bool, **more: Any) -> subprocess.CompletedProcess[bytes]:
        """Run the product's own program in a child of the warm process, any other as it is."""
        _, _, program, *arguments = command
        if program != opening.__name__:
            return subprocess.run(command, check=check, **more)
        done = forker().run(arguments, more["env"], program=program, timeout_s=more["timeout"])
        return subprocess.CompletedProcess(command, *done)


class _Fork:
    """Stands for the same module in a child of the warm process: a command can fork itself, a server has threads.

    Only what draws a command's progress may go on beside it, which holds nothing that the program needs.
    """

    DEVNULL, TimeoutExpired = subprocess.DEVNULL, subprocess.TimeoutExpired

    @staticmethod
    def Popen(command: list[str], **more: Any) -> Any:  # noqa: N802 (as the module says it)
        """Begin the product's own program in a child of this process."""
        if not _may_fork():
            return subprocess.Popen(command, **more)
        with Path(os.devnull).open() as nothing:
            return _OwnChild(
                _forked(command, [nothing.fileno(), more["stdout"].fileno(), more["stderr"].fileno()], more)
            )

    @staticmethod
    def run(command: list[str], *, check: bool, **more: Any) -> subprocess.CompletedProcess[bytes]:
        """Run the product's own program in a child of this process, any other as it is."""
        if command[2] != opening.__name__ or not _may_fork():
            return subprocess.run(command, check=check, **more)
        with _in_memory("in") as stdin, _in_memory("out") as stdout, _in_memory("err") as stderr:
            process = _OwnChild(_forked(command, [stdin, stdout, stderr], more))
            try:
                process.wait(more["timeout"])
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
            return subprocess.CompletedProcess(command, process.wait(), _content(stdout), _content(stderr))


def _may_fork() -> bool:
    others = [one for one in threading.enumerate() if one is not threading.current_thread()]
    return all(type(one).__module__.startswith("rich.") for one in others)


def _forked(command: list[str], streams: list[int], more: dict[str, Any]) -> int:
    """Let a copy of this process be a program of the product, and return its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        # What the other process has to do at its end is left to it; and it may be in the middle of writing to its
        # streams, which stay open here, since they would close what they stand for.
        atexit._clear()
        _kept = sys.stdin, sys.stdout, sys.stderr
        wanted = {
            "own_group": False,
            "environment": {_in_hex(name): _in_hex(value) for name, value in more["env"].items()},
            "folder": str(more["cwd"]),
            "program": command[2],
            "arguments": [_in_hex(argument) for argument in command[3:]],
        }
        os._exit(_ended(wanted, [os.dup(one) for one in streams]))
    return pid


def _in_hex(text: str) -> str:
    return os.fsencode(text).hex()


def begin_in_children_of_the_warm_process() -> None:
    """Let this process begin the product's own programs in children that have the imports already."""
    opening.subprocess = rehearsal.subprocess = _Subprocess  # type: ignore[assignment]


@contextmanager
def _in_memory(name: str, content: bytes = b"") -> Iterator[int]:
    descriptor = os.memfd_create(name)
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _exactly(connection: socket.socket, n: int) -> bytes:
    found = b""
    while len(found) < n:
        piece = connection.recv(n - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found


class _Children:
    """The processes that were begun here and have not ended."""

    def __init__(self, asked: socket.socket) -> None:
        self._asked = asked
        self._ending: dict[int, tuple[int, socket.socket]] = {}
        """By the descriptor that tells of a process's end its number and who waits for it."""
        self._polled = select.poll()
        self._polled.register(asked, select.POLLIN)

    def is_asked(self) -> bool:
        """Tell of ends until somebody asks for another process."""
        while True:
            for descriptor, _ in self._polled.poll():
                if descriptor == self._asked.fileno():
                    return True
                self._tell(descriptor)

    def add(self, pid: int, waiting: socket.socket) -> None:
        """Watch over a process."""
        descriptor = os.pidfd_open(pid)
        self._ending[descriptor] = pid, waiting
        self._polled.register(descriptor, select.POLLIN)

    def forget(self) -> None:
        """Leave a child nothing of all this."""
        for descriptor, (_, waiting) in self._ending.items():
            os.close(descriptor)
            waiting.close()
        self._asked.close()

    def end(self) -> None:
        """End them all."""
        for pid, _ in self._ending.values():
            os.kill(pid, signal.SIGKILL)
        for descriptor in list(self._ending):
            self._tell(descriptor)

    def _tell(self, descriptor: int) -> None:
        pid, waiting = self._ending.pop(descriptor)
        self._polled.unregister(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        # Who asked may have gone meanwhile.
        with waiting, suppress(OSError):
            waiting.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def main() -> None:
    """Fork a process for every request, until nobody can ask any more."""
    # The descriptor of the other end is not for children of children.
    asked = socket.socket(fileno=int(sys.argv[1]))
    asked.set_inheritable(False)
    _warm_up()
    children = _Children(asked)
    asked.sendall(b"r")
    while children.is_asked():
        wanted, descriptors = _request(asked)
        if wanted is None:
            break
        if "opened" in wanted:
            opening._opened.add(wanted["opened"])
            continue
        pid = os.fork()
        if pid == 0:
            children.forget()
            os.close(descriptors.pop())
            os._exit(_ended(wanted, descriptors))
        *streams, ending = descriptors
        for descriptor in streams:
            os.close(descriptor)
        children.add(pid, socket.socket(fileno=ending))
        asked.sendall(pid.to_bytes(8, "big"))
    children.end()
    asked.close()


def _request(asked: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    length, passed, _, _ = socket.recv_fds(asked, 8, 4)
    if not length:
        return None, []
    return json.loads(_exactly(asked, int.from_bytes(length, "big"))), list(passed)


def _warm_up() -> None:
    """Import all of the product and what it imports only when needed, and load the quick encoder."""
    for package in _PACKAGES:
        places = import_module(package).__path__
        for found in walk_packages(places, f"{package}."):
            # Migrations are programs, run by Alembic one by one.
            if ".migrations." not in found.name:
                import_module(found.name)
    for name in _IMPORTED_LATE:
        import_module(name)
    share_the_encoder()
    share_the_compiled_statements()
    share_the_certificates()
    load_encoder("bundled-use", Settings(threads=1)).encode(["暖"], role="query")
    # What any text of the command line or the server is recognised by, and the dictionary that every ranking reads.
    recognised("none of the catalogue's")
    dictionary._cedict()
    _share_the_command_line()
    _share_the_schema()
    _share_the_application()
    opening.subprocess = rehearsal.subprocess = _Fork  # type: ignore[assignment]
    _look_around()
    # The workers of a server of several are forked from it, where its users get new interpreters.
    uvicorn._subprocess.spawn = multiprocessing.get_context("fork")
    assert threading.active_count() == 1
    # What is there by now stays: going over it at every collection would copy its pages into every child.
    gc.collect()
    gc.freeze()


def _share_the_command_line() -> None:
    """Let children take the tree of commands as it was built here."""
    import typer.main

    import api.cli

    built, build = typer.main.get_command(api.cli.app), typer.main.get_command
    typer.main.get_command = lambda app: built if app is api.cli.app else build(app)


def _share_the_schema() -> None:
    """Let children make a new SQLite database of what the migrations made of one here, and compare with its rules."""
    share_the_schema()
    with tempfile.TemporaryDirectory() as folder:
        engine = database.open_engine(Settings(home=Path(folder)))
        database_rules._wanted(engine)
        engine.dispose()


def _share_the_application() -> None:
    """Let children take the routes of the application as they were built here."""
    import structlog

    import api.app

    with tempfile.TemporaryDirectory() as folder:
        application(Settings(home=Path(folder))).state.engine.dispose()
    structlog.reset_defaults()
    api.app.create_app = application


def _look_around() -> None:
    """Let children find the templates and statements compiled, and the words of the slice looked up."""
    import structlog

    from api.pages.shell import drawing
    from tests.rig.servers import warm_tour

    with redirect_stderr(io.StringIO()):
        warm_tour.take()
    structlog.reset_defaults()
    # A third of a second at the start of each server, most of which draw nothing: here the first drawing takes it.
    drawing.warm = lambda: None


def _open_streams() -> None:
    """Open stdin, stdout and stderr as an interpreter does at its start."""
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
    encoding = encoding or locale.getpreferredencoding(do_setlocale=False)
    for name, descriptor in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        opened = io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(descriptor, "wb")) if descriptor else io.BufferedReader(io.FileIO(0, "rb")),
            encoding=encoding,
            errors="backslashreplace" if name == "stderr" else errors or "strict",
            line_buffering=name == "stderr",
        )
        setattr(sys, name, opened)
        setattr(sys, f"__{name}__", opened)


def _ended(wanted: dict[str, Any], streams: list[int]) -> int:
    """Be the process that is wanted, and return the status that an interpreter would end with.

    All that an interpreter does at its end is done but for taking its modules apart, which would copy every page of
    what came from the parent: a fifth of a second for each process.
    """
    try:
        _become(wanted, streams)
        code: object = None
    except SystemExit as end:
        code = end.code
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    # What nobody holds any more, as a file that was left open, is told of on stderr.
    gc.collect()
    try:
        sys.stdout.flush()
    except OSError as error:
        print(f"Exception ignored while flushing stdout: {error}", file=sys.stderr)
        code = 120
    sys.stderr.flush()
    return (code or 0) & 0xFF


def _become(wanted: dict[str, Any], streams: list[int]) -> None:
    """Become the process that is wanted, and return when its program has."""
    for place, descriptor in enumerate(streams):
        os.dup2(descriptor, place)
        os.close(descriptor)
    if wanted["own_group"]:
        os.setpgid(0, 0)
    environment = {bytes.fromhex(name): bytes.fromhex(value) for name, value in wanted["environment"].items()}
    os.environb.clear()
    os.environb.update(environment)
    os.chdir(wanted["folder"])
    time.tzset()
    # A child of a child has left it already.
    if environment.get(b"PYTHONWARNINGS") != b"error" and _ERROR in warnings.filters:
        warnings.filters.remove(_ERROR)  # type: ignore[attr-defined]
        warnings._filters_mutated()  # type: ignore[attr-defined]
    _open_streams()
    arguments = [os.fsdecode(bytes.fromhex(argument)) for argument in wanted["arguments"]]
    program = wanted["program"]
    module = sys.modules.get(program)
    if module is not None:
        sys.argv = [str(module.__file__), *arguments]
        sys.modules["__main__"] = module
        sys.exit(module.main())
    sys.argv = [program, *arguments]
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
