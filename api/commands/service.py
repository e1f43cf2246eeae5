"""`gloria serve`, `backup` and `restore`: the server, and a copy of everything that counts, proved and used.

In: host, port and the number of workers; where to back up to, or which backup. Out: a running server until it is
told to stop, for one machine or behind a proxy, where requests on their way are finished first; a backup; the
checks of a rehearsal, with exit code 1 if one failed; a home.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.refusals import RefusedError
from api.commands.screen import Screen, finish, write_document
from api.home import open_session, read_settings
from indexer.wording import P_, T_

if TYPE_CHECKING:
    from api.backups.rehearsal import Rehearsal
    from api.backups.restore import Restored
    from indexer.settings import Settings


GRACE_S = 20
SWITCH_S = 0.001


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
) -> None:
    """Serve the API until interrupted."""
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from api.requests.connections import BoundedProtocol, allow_many_files
    from api.requests.metrics import SHARED_FOLDER

    screen = Screen.of(context)
    settings = read_settings()
    # Opened once here, so that a database that can't be used is told before anything starts.
    with open_session(settings):
        pass
    allow_many_files()
    # Whoever waits for a moment of the interpreter waits less behind those who need much of it.
    sys.setswitchinterval(SWITCH_S)
    proxies = settings.proxies()
    config = uvicorn.Config(
        "api.app:create_app",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        http=BoundedProtocol,
        # Nobody else is believed who the client is, whatever FORWARDED_ALLOW_IPS says.
        proxy_headers=bool(proxies),
        forwarded_allow_ips=proxies,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    sock = _listening(host, port)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{sock.getsockname()[1]}"
    screen.note(T_("serving at %(address)s", address=address))
    if workers == 1:
        uvicorn.Server(config).run(sockets=[sock])
        return
    with tempfile.TemporaryDirectory(prefix="gloria-metrics-", dir=_in_memory()) as folder:
        os.environ[SHARED_FOLDER] = folder
        Multiprocess(config, sockets=[sock]).run()


def _in_memory() -> str | None:
    """Return where files lie in memory, if the system has such a place.

    The figures are mapped into the workers: a page of them for which a full disk has no room would kill a worker.
    """
    place = "/dev/shm"  # noqa: S108 (a folder of our own is made in it)
    return place if os.access(place, os.W_OK) else None


def _listening(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise RefusedError(
            T_(
                "can't listen on %(host)s:%(port)s: %(strerror)s; choose another --port",
                host=host,
                port=port,
                strerror=error.strerror or error,
            )
        ) from error
    sock.set_inheritable(True)
    return sock


AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
NEWEST = "newest"


def backup(
    context: typer.Context,
    *,
    to: Annotated[Path | None, typer.Option(help="Folder of backups; default: GLORIA_BACKUPS.")] = None,
    as_json: AsJson = False,
) -> None:
    """Copy the database and what belongs to it, while people go on working; older backups stay.

    In it: database, files of evidence, key of the pseudonyms, exported heads, erasures, current index. Keep copies on
    another machine; they hold names, so keep them as safe as the home.
    """
    from api.backups.backup import back_up

    settings = read_settings()
    if to is not None:
        settings = settings.model_copy(update={"backups": to})
    made = back_up(settings)
    if as_json:
        write_document(made.as_dict())
        return
    screen = Screen.of(context)
    screen.say(
        T_(
            "backed up to %(path)s (%(files)s files, %(bytes)s bytes, %(total_s)s s)",
            path=made.path,
            files=f"{made.files:,}",
            bytes=f"{made.bytes:,}",
            total_s=f"{made.total_s:.1f}",
        ),
    )
    if made.index_problem is not None:
        screen.note(T_("without an index: %(index_problem)s", index_problem=made.index_problem))


def restore(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="BACKUP", help="A backup's folder or name, or: newest.")],
    *,
    check: Annotated[bool, typer.Option("--check", help="Only rehearse it, in a scratch folder.")] = False,
    into: Annotated[Path | None, typer.Option(help="The home to make.")] = None,
    over: Annotated[bool, typer.Option("--over", help="Move what the home holds aside; nothing is deleted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rehearse a backup (--check), or make a home from it (--into). Stop gloria serve before the latter.

    Erasures that came after the backup are repeated. A backup of PostgreSQL goes into the empty database that
    GLORIA_DATABASE_URL names.
    """
    if check == (into is not None):
        raise RefusedError(T_("give one of: --check, --into HOME"))
    settings = read_settings()
    folder = _found(settings, name)
    screen = Screen.of(context)
    if check:
        _rehearse(screen, settings, folder, as_json=as_json)
    elif into is not None:
        _bring_back(screen, settings, folder, into, over=over, as_json=as_json)


def _rehearse(screen: Screen, settings: Settings, folder: Path, *, as_json: bool) -> None:
    from api.backups.rehearsal import rehearse

    done = rehearse(settings, folder)
    if as_json:
        write_document(done.as_dict())
    else:
        _tell(screen, done)
    finish(not done.passed)


def _tell(screen: Screen, done: Rehearsal) -> None:
    for check in done.checks:
        mark, style = (
            (screen.text(T_("passed")), "green")
            if check.passed
            else (screen.text(P_("backup commands", "failed")), "red")
        )
        screen.say(
            T_(
                "%(mark)s  %(label)s (%(seconds)s s): %(detail)s",
                mark=mark,
                seconds=f"{check.seconds:.1f}",
                detail=check.detail,
                label=check.label,
            ),
            style,
        )
    if done.passed:
        screen.say(T_("backup %(backup)s can be used", backup=done.backup), "bold green")
    else:
        screen.say(T_("backup %(backup)s can't be relied on", backup=done.backup), "bold red")


def _bring_back(screen: Screen, settings: Settings, folder: Path, into: Path, *, over: bool, as_json: bool) -> None:
    from api.backups.restore import bring_back

    url = settings.database_url if settings.database_url.startswith("postgres") else ""
    done = bring_back(settings, folder, into=into, database_url=url, over=over)
    if as_json:
        write_document(done.as_dict())
    else:
        _say_restored(screen, done)


def _say_restored(screen: Screen, done: Restored) -> None:
    screen.say(
        T_(
            "restored to %(home)s (backup of %(made_at)s), repeated %(erased_again)s erasures",
            home=done.home,
            made_at=done.made_at,
            erased_again=done.erased_again,
        ),
    )
    if done.aside is not None:
        screen.note(T_("what was there before lies in %(aside)s", aside=done.aside))
    for chain, n in done.beyond.items():
        screen.warn(
            screen.text(
                T_(
                    "of the ledger's %(chain)s number %(n)s had been exported; what came after the backup is not in "
                    "it and has to be reported again",
                    chain=chain,
                    n=f"{n:,}",
                ),
            )
        )
    if done.reindex:
        screen.note(T_("before matching run: gloria reindex"))


def _found(settings: Settings, name: str) -> Path:
    from api.backups.backup import backups_in

    known = backups_in(settings.backups_path)
    if name == NEWEST and known:
        return known[0]
    for folder in (settings.backups_path / name, Path(name)):
        if name != NEWEST and folder.is_dir():
            return folder
    listed = ", ".join(path.name for path in known[:5]) or f"none in {settings.backups_path}"
    raise RefusedError(
        T_("there is no backup %(name)r; give a folder or one of: newest, %(listed)s", name=name, listed=listed)
    )
