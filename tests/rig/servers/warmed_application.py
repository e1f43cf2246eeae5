"""What takes long to make and is the same for all tests of a process: the application's routes, the quick encoder.

In: settings. Out: what `create_app` returns for them; and encoders that read weights and tokenizer once. It exists
because building 250 routes takes a third of a second of processor time and loading the encoder half a second, and
hundreds of tests want an application or an index of their own. The first application of each process is built in full,
with the check of every route against the policy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fastapi import FastAPI

from indexer.encoders.bundled_encoders import UniversalSentenceEncoder
from indexer.settings import Settings


@cache
def _create_app() -> Callable[[Settings | None], FastAPI]:
    """Return the product's own, whatever stands in its place later."""
    from api.app import create_app

    return create_app


@cache
def _routes() -> tuple[Any, ...]:
    with TemporaryDirectory() as home:
        first = _create_app()(Settings(home=Path(home)))
        first.state.engine.dispose()
    return tuple(first.router.routes)


def application(settings: Settings | None = None) -> FastAPI:
    """Build the application, sharing its routes with the first of this process."""
    # Not with this module, which every run of tests loads: it takes seconds.
    import api.app

    create_app, routes = _create_app(), _routes()
    with pytest.MonkeyPatch.context() as patch:
        for parts in ("_PARTS", "PAGES"):
            patch.setattr(api.app, parts, ())
        app = create_app(settings)
    # Its own are those that the framework makes, as that of the description.
    own = {getattr(route, "path", None) for route in app.router.routes}
    app.router.routes += [route for route in routes if getattr(route, "path", None) not in own]
    return app


def share_the_encoder() -> None:
    """Let all encoders of this process that use as many threads have the same weights and tokenizer in memory."""
    for name in ("_tokenizer", "_backend"):
        read = getattr(UniversalSentenceEncoder, name)
        read.func = _once_for_each_number_of_threads(read.func)


def _once_for_each_number_of_threads(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    made: dict[int, Any] = {}

    def shared(encoder: UniversalSentenceEncoder) -> Any:
        if encoder.threads not in made:
            made[encoder.threads] = read(encoder)
        return made[encoder.threads]

    return shared
