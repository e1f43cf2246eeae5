"""The server: routes, errors, headers, and what lives as long as the process.

In: the settings of the environment. Out: an ASGI application. It exists as one
factory so that every worker, test and script builds the same. An application
with a route that the policy does not know is not built at all.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import structlog
from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from api import tables  # noqa: F401 (all models must be known before the first query)
from api.asking import Limiter
from api.description import complete
from api.event_log import RequestLog, configure_log
from api.guard import Guard
from api.job_runner import JobRunner
from api.metrics import count_lost_views
from api.pages import drawing
from api.pages.every_page import BODY_LIMITS as PAGE_BODY_LIMITS
from api.pages.every_page import PAGES
from api.pages.refused import tell
from api.policy import POLICY
from api.problems import register
from api.request_threads import RequestThreads
from api.routes import (
    accounts,
    audit,
    cases,
    claims,
    companies,
    configuration,
    directory,
    entries,
    evidence,
    exports,
    exposure,
    field_map,
    figures,
    gender,
    generations,
    health,
    job_events,
    jobs,
    labs,
    ledger,
    me,
    needs,
    nights,
    pairings,
    people,
    points,
    queue,
    recognition,
    reports,
    review,
    sign_on,
    standing,
    sufficiency,
    targets,
)
from api.sign_on import Provider
from api.stopping import heed_signals
from api.uploads import MAX_FILE_BYTES, Uploads
from api.view_buffer import ViewBuffer
from api.view_log import ViewLog
from indexer.batching import EncodingBusyError
from indexer.database import BusyError, DatabaseGoneError, open_engine
from indexer.encoder import EncoderError
from indexer.settings import Settings
from indexer.snapshot import SnapshotError
from matcher.ledger.evidence import MAX_BYTES as MAX_EVIDENCE_BYTES
from matcher.live import LiveMatcher

GIVE_UP_AFTER_S = 5.0
"""How long a closing server waits for its look at the index; opening one may take longer."""
BODY_LIMITS = {
    ("POST", "/api/imports"): MAX_FILE_BYTES,
    ("POST", "/api/evidence"): MAX_EVIDENCE_BYTES,
    **PAGE_BODY_LIMITS,
}
"""The routes that take more: each receives its body only after it knows who sends it, and few at a time."""
OPEN_ROUTES = frozenset(
    {
        ("POST", "/api/session"),
        ("DELETE", "/api/session"),
        ("GET", "/api/oidc"),
        ("GET", "/api/oidc/callback"),
        ("GET", "/api/oidc/login"),
        ("GET", "/healthz"),
        ("GET", "/metrics"),
        ("GET", "/readyz"),
        ("GET", "/language/{lang}"),
        ("GET", "/sign-in"),
        ("POST", "/sign-in"),
        ("GET", "/static/{name}"),
    }
)
"""The routes that need no permission: signing in and out, health, and what holds nothing of anybody."""
_PARTS = (
    needs,
    pairings,
    exposure,
    cases,
    queue,
    companies,
    directory,
    labs,
    claims,
    jobs,
    job_events,
    exports,
    people,
    sign_on,
    me,
    accounts,
    evidence,
    entries,
    recognition,
    review,
    ledger,
    figures,
    targets,
    reports,
    standing,
    sufficiency,
    points,
    gender,
    configuration,
    generations,
    nights,
    field_map,
    audit,
    health,
)


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            complete(document, permissions(self))
        return super().openapi()


class RouteWithoutPolicyError(RuntimeError):
    """A route names no permission, or one that the policy does not have."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application.

    Raises:
        RouteWithoutPolicyError: a route is not covered by the policy.
        SchemaError: the database is of a newer release.
    """
    settings = settings or Settings()
    configure_log()
    engine = open_engine(settings)
    app = _Application(
        title="GLORIA Match",
        version=version("gloria-match"),
        description="Needs come in, experts decide. Every refusal is a Problem (RFC 9457).",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=_lifespan,
        # The default, a 422 of the framework's own shape, is never answered.
        responses={"4XX": {"description": "Refused, with the reason."}},
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.engine = engine
    app.state.live = LiveMatcher(settings, engine)
    app.state.threads = RequestThreads()
    app.state.limiter = Limiter(settings.requests_per_minute)
    app.state.home = settings.home
    app.state.stopping = threading.Event()
    app.state.jobs = JobRunner(engine, app.state.live, app.state.stopping, settings.job_lease_s)
    app.state.uploads = Uploads()
    app.state.views = ViewBuffer(engine, count_lost=count_lost_views)
    app.state.provider = Provider(settings) if settings.oidc_issuer else None
    app.state.oidc_domains = settings.oidc_domains()
    for part in (*_PARTS, *PAGES):
        app.include_router(part.router)
    register(app, tell)
    try:
        _check_policy(app)
    except RouteWithoutPolicyError:
        engine.dispose()
        raise
    app.add_middleware(Guard, tell=tell, limits=BODY_LIMITS)
    app.add_middleware(ViewLog, views=app.state.views)
    app.add_middleware(RequestLog, tell=tell)
    return app


def _check_policy(app: FastAPI) -> None:
    for method, path, permission in permissions(app):
        if permission is None and (method, path) not in OPEN_ROUTES:
            raise RouteWithoutPolicyError(f"{method} {path} names no permission")
        if permission is not None and permission not in POLICY:
            raise RouteWithoutPolicyError(f"{method} {path}: the policy has no {permission}")


def permissions(app: FastAPI) -> Iterator[tuple[str, str, Any]]:
    """Yield method, path and permission (None if it names none) of every route that is not the framework's own."""
    for route in iter_route_contexts(app.routes):
        if route.path is None or route.path == app.openapi_url:
            continue
        found = [getattr(one.call, "permission", None) for one in route.dependant.dependencies]
        for method in sorted(route.methods or ()):
            yield method, route.path, next((one for one in found if one is not None), None)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    # Models take seconds to load: the server answers everything else meanwhile.
    threading.Thread(target=_warm, args=(app.state.live,), name="warm", daemon=True).start()
    watching = threading.Thread(target=app.state.live.watch, args=[app.state.stopping], name="watch", daemon=True)
    watching.start()
    threading.Thread(target=drawing.warm, name="warm-drawing", daemon=True).start()
    heed_signals(app.state.stopping)
    app.state.looking = CapacityLimiter(job_events.LOOKING_THREADS)
    app.state.views.start()
    app.state.jobs.start()
    yield
    app.state.jobs.stop()
    app.state.threads.close()
    watching.join(timeout=GIVE_UP_AFTER_S)
    app.state.views.stop()
    app.state.live.close()
    app.state.engine.dispose()


def _warm(live: LiveMatcher) -> None:
    try:
        live.warm()
    except (SnapshotError, EncoderError, EncodingBusyError, BusyError, DatabaseGoneError) as error:
        # Whoever asks for a match is told the same; all else goes on.
        # What is wrong with an index or an encoder names files and hashes; a database's error could quote anything.
        reason = str(error) if isinstance(error, SnapshotError | EncoderError) else None
        structlog.get_logger("gloria").warning("matching is not ready", error=type(error).__name__, reason=reason)
