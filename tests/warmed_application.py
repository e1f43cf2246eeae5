"""The application for a test's own database, with routes that were built once.

In: settings. Out: what `create_app` returns for them. It exists because building the 250 routes, which are the same
whatever the settings, takes a third of a second of processor time, and hundreds of tests want an application of their
own. The first one of each process is built in full, with the check of every route against the policy.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fastapi import FastAPI

import api.app
from api.app import create_app
from indexer.settings import Settings


@cache
def _routes() -> tuple[Any, ...]:
    with TemporaryDirectory() as home:
        first = create_app(Settings(home=Path(home)))
        first.state.engine.dispose()
    return tuple(first.router.routes)


def application(settings: Settings | None = None) -> FastAPI:
    """Build the application, sharing its routes with the first of this process."""
    routes = _routes()
    with pytest.MonkeyPatch.context() as patch:
        for parts in ("_PARTS", "PAGES"):
            patch.setattr(api.app, parts, ())
        app = create_app(settings)
    # Its own are those that the framework makes, as that of the description.
    own = {getattr(route, "path", None) for route in app.router.routes}
    app.router.routes += [route for route in routes if getattr(route, "path", None) not in own]
    return app
