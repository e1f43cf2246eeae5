"""`gloria` as a server that answers before it has stored: `python -m tests.rig.servers.forgetful_server serve`.

In: the arguments of `gloria`. Out: a server whose changes are committed a moment after their answer. It exists to show
that a proof by killing servers finds such a thing.
"""

from __future__ import annotations

import threading
from typing import Any

from fastapi import Response

from api import cli
from api.requests.permitted_request import PermittedRequest, Work
from indexer.database import writing

LATER_S = 0.2


def _write(asking: PermittedRequest, work: Work, body: Any = None, *, once: bool = True) -> Response:
    with writing(asking.engine) as session:
        reply = work(session, asking.admitted(session))
        session.rollback()
    threading.Timer(LATER_S, _as_it_is, (asking, work, body), {"once": once}).start()
    return asking.answered(reply)


_as_it_is = PermittedRequest.write

if __name__ == "__main__":
    PermittedRequest.write = _write  # type: ignore[method-assign]
    cli.main()
