"""`gloria serve`: the server, for one machine or behind a proxy.

In: host, port and the number of workers. Out: a running server until it is told
to stop; requests on their way are finished first.
"""

from __future__ import annotations

import os
import socket
import tempfile
from typing import Annotated

import typer

from api.opening import open_session, read_settings
from api.refusals import RefusedError
from api.screen import Screen
from indexer.wording import T_

GRACE_S = 20


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
) -> None:
    """Serve the API until interrupted."""
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from api.metrics import SHARED_FOLDER

    screen = Screen.of(context)
    # Opened once here, so that a database that can't be used is told before anything starts.
    with open_session(read_settings()):
        pass
    config = uvicorn.Config(
        "api.app:create_app",
        factory=True,
        host=host,
        port=port,
        workers=workers,
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
