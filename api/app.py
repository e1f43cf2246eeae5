"""The server: routes, what lives as long as the process, its end, and what its description says of every route alike.

In: the settings of the environment. Out: an ASGI application. It exists as one factory so that every worker, test
and script builds the same. An application with a route that the policy does not know is not built at all. The
description is completed here (proof, refusals, headers, examples), so that no route has to repeat what the server
does for all of them, and none can be described otherwise than it works. That the server is about to stop is known
as soon as it is told so: it first waits for all answers to be finished, and a stream that somebody listens to would
never finish.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from types import FrameType
from typing import Any

import structlog
from anyio import CapacityLimiter
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import Engine

from api import tables  # noqa: F401 (all models must be known before the first query)
from api.access.known_browsers import KnownBrowsers
from api.access.pacing import Pace
from api.access.policy import POLICY, Action, Resource
from api.access.second_factor import roles_bound
from api.access.sign_on import Provider
from api.jobs.worker import JobRunner
from api.letters.sending.delivering import Postman
from api.pages.every_page import BODY_LIMITS as PAGE_BODY_LIMITS
from api.pages.every_page import PAGES
from api.pages.shell import drawing
from api.pages.shell.visiting import tell
from api.requests.capacity import MAX_FILE_BYTES, RequestThreads, Uploads
from api.requests.idempotency import MAX_KEY
from api.requests.looking_up import LookUps
from api.requests.metrics import count_lost_views
from api.requests.middleware import Guard, RequestLog, ViewLog, configure_log
from api.requests.permitted_request import COOKIE, SAFE_METHODS, RateLimiter
from api.requests.problems import MEDIA_TYPE, Problem, register
from api.requests.scanning import Scanner
from api.routes import (
    accounts,
    cases,
    companies,
    field_map,
    jobs,
    labs,
    needs,
    operations,
    pairings,
    portfolio,
    reach,
    search,
    sessions,
)
from api.routes.conversation import attachments, corrections, lab_questions, meetings, talks
from api.routes.conversation.attachments import MAX_ATTACHED_BYTES
from api.routes.desk import agenda, handing_on, queue, saved_views, today
from api.routes.files import drafts, exports, lab_files
from api.routes.imports import drafts as import_drafts
from api.routes.imports import templates
from api.routes.imports.drafts import MAX_LIST_BYTES
from api.routes.joint import chains, visits
from api.routes.judging import judgings, pairs
from api.routes.ledger import alliances, entries, figures, months, programme, review
from api.routes.letters import notices, renewals, webhooks
from api.routes.mending import duplicates, merging, retiring
from api.routes.mending import schools as schools_over_time
from api.routes.own_lab import works
from api.routes.shortlists import making, pictures
from api.trail.sign_ins import SignInFailures
from api.trail.view_buffer import ViewBuffer
from indexer.database import BusyError, DatabaseGoneError, open_engine, reading, writing
from indexer.disk import DiskReserve
from indexer.encoders.encoding import EncoderError
from indexer.encoders.heading_meanings import HeadingMeanings
from indexer.encoders.query_vectors import EncodingBusyError
from indexer.index.generations import SnapshotError
from indexer.settings import Settings
from matcher.ledger.rows.evidence import MAX_BYTES as MAX_EVIDENCE_BYTES
from matcher.ledger.rows.evidence import WaitingMost
from matcher.ledger.rows.pseudonyms import is_unnoted, key_problem, make_key, note_key
from matcher.ranking.opened.live import LiveMatcher

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def heed_signals(stopping: threading.Event) -> None:
    """Set the event once a signal that stops the server comes; whoever handled it before still does.

    Called in the event loop; outside of the main thread, where no signal arrives, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        before = signal.getsignal(number)
        if not callable(before):
            continue

        def heed(received: int, frame: FrameType | None, before: signal._HANDLER = before) -> None:
            # Not set right here: a handler may interrupt the very code that holds the event's lock.
            loop.call_soon_threadsafe(stopping.set)
            if callable(before):
                before(received, frame)

        signal.signal(number, heed)


_REFUSED = {"schema": {"$ref": "#/components/schemas/Problem"}}
_PROOFS = {
    "key": {"type": "http", "scheme": "bearer", "description": "A key of a program (`gloria user key`)."},
    "browser": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "Signed in with `POST /api/session`; changing requests also send X-CSRF-Token.",
    },
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same request sent again with the same key is carried out once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
    "example": "2f1c7a5e-0d1b-4c3e-9a55-6b1f6f0f7f10",
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The ETag that you read: 428 without, 412 if somebody else edited in the meantime.",
    "schema": {"type": "string", "pattern": "^[!-~]+$"},
    "example": "*",
}
_EXAMPLES: dict[str, Any] = {
    "need_id": "need-1-01",
    "lab_id": "lab-1-01",
    "company_id": "co-1-1",
    "pairing_id": 1,
    "case_id": 1,
    "alliance_id": "al-01",
    "configuration_name": "points",
    "judging_id": 1,
    "judged_pair_id": 1,
    "school_id": "ysu",
}
"""What a path may name, from the demo world."""


def complete(document: dict[str, Any], permissions: Iterable[tuple[str, str, Any]]) -> None:
    """Add to a description what holds for every route.

    Args:
        document: the OpenAPI document as made from the routes; changed in place.
        permissions: method, path and permission (None if everybody may) of every route.
    """
    components = document.setdefault("components", {})
    components["securitySchemes"] = _PROOFS
    components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
    for method, path, permission in permissions:
        operation = document["paths"].get(path, {}).get(method.lower())
        if operation is not None:
            _complete(operation, method, permission)


def _complete(operation: dict[str, Any], method: str, permission: Any) -> None:
    responses = operation["responses"]
    responses["4XX"] = {"description": "Refused, with the reason.", "content": {MEDIA_TYPE: _REFUSED}}
    later = {"description": "Not now; Retry-After says when.", "content": {MEDIA_TYPE: _REFUSED}}
    responses.setdefault("503", later)
    if method not in SAFE_METHODS or permission == (Resource.MATCH, Action.READ):
        full = {"description": "The disk is full; nothing was stored.", "content": {MEDIA_TYPE: _REFUSED}}
        responses.setdefault("507", full)
    given = operation.get("parameters", [])
    for parameter in given:
        if parameter["name"] in _EXAMPLES:
            parameter.setdefault("example", _EXAMPLES[parameter["name"]])
    if permission is None:
        return
    operation["security"] = [{name: []} for name in _PROOFS]
    if method not in SAFE_METHODS:
        given = [*given, _IDEMPOTENCY_KEY]
    if method == "PATCH" or permission == (Resource.CONFIGURATION, Action.EDIT):
        given = [*given, _IF_MATCH]
    if given:
        operation["parameters"] = given


STRANGERS_PER_MINUTE = 30
"""How often one address, who is nobody here, may ask for what a link shows."""
GIVE_UP_AFTER_S = 5.0
"""How long a closing server waits for its look at the index; opening one may take longer."""
BODY_LIMITS = {
    ("POST", "/api/imports"): MAX_FILE_BYTES,
    ("POST", "/api/import-drafts"): MAX_LIST_BYTES,
    ("POST", "/api/attachments"): MAX_ATTACHED_BYTES,
    ("POST", "/api/evidence"): MAX_EVIDENCE_BYTES,
    **PAGE_BODY_LIMITS,
}
"""The routes that take more: each receives its body only after it knows who sends it, and few at a time."""
OPEN_ROUTES = frozenset(
    {
        ("POST", "/api/session"),
        ("DELETE", "/api/session"),
        ("GET", "/answer/{token}"),
        ("POST", "/answer/{token}"),
        ("POST", "/answer/{token}/undo"),
        ("GET", "/calendar/{token}.ics"),
        ("GET", "/confirm-need/{token}"),
        ("POST", "/confirm-need/{token}"),
        ("POST", "/confirm-need/{token}/word"),
        ("GET", "/lab-question/{token}"),
        ("POST", "/lab-question/{token}"),
        ("POST", "/lab-question/{token}/undo"),
        ("GET", "/meeting/{token}"),
        ("POST", "/meeting/{token}"),
        ("POST", "/meeting/{token}/call-off"),
        ("POST", "/meeting/{token}/undo"),
        ("GET", "/api/oidc"),
        ("GET", "/api/oidc/callback"),
        ("GET", "/api/oidc/login"),
        ("GET", "/healthz"),
        ("GET", "/metrics"),
        ("GET", "/readyz"),
        ("GET", "/language/{lang}"),
        ("GET", "/scheme/{scheme}"),
        ("GET", "/sign-in"),
        ("POST", "/sign-in"),
        ("GET", "/shared/{secret}"),
        ("GET", "/shared/{secret}/file"),
        ("GET", "/shared/{secret}/logo"),
        ("GET", "/static/{name}"),
        ("POST", "/api/password-renewals"),
        ("POST", "/api/password-renewals/{token}"),
        ("POST", "/api/mail/unsubscribe/{token}"),
        ("DELETE", "/api/mail/unsubscribe/{token}"),
        ("GET", "/feed/{secret}.atom"),
        ("GET", "/forgotten"),
        ("POST", "/forgotten"),
        ("GET", "/forgotten/{token}"),
        ("POST", "/forgotten/{token}"),
        ("GET", "/mail/unsubscribe/{token}"),
        ("POST", "/mail/unsubscribe/{token}"),
        ("POST", "/mail/unsubscribe/{token}/undo"),
    }
)
"""The routes that need no permission: signing in and out, health, what holds nothing of anybody, and what the secret in
its address alone opens."""
_PARTS = (
    needs,
    pairings,
    chains,
    portfolio,
    reach,
    visits,
    talks,
    lab_questions,
    attachments,
    meetings,
    corrections,
    cases,
    queue,
    today,
    handing_on,
    saved_views,
    agenda,
    companies,
    labs,
    search,
    jobs,
    import_drafts,
    templates,
    sessions,
    accounts,
    entries,
    review,
    months,
    retiring,
    merging,
    duplicates,
    schools_over_time,
    programme,
    figures,
    alliances,
    operations,
    field_map,
    exports,
    lab_files,
    drafts,
    judgings,
    pairs,
    making,
    pictures,
    works,
    notices,
    webhooks,
    renewals,
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
    _look_at_persons_key(engine, settings)
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
    app.state.limiter = RateLimiter(settings.requests_per_minute)
    app.state.strangers = RateLimiter(STRANGERS_PER_MINUTE)
    app.state.home, app.state.settings = settings.home, settings
    app.state.stopping = threading.Event()
    app.state.reserve = DiskReserve(settings.home, settings.disk_reserve_mb)
    app.state.jobs = JobRunner(engine, app.state.live, app.state.stopping, settings.job_lease_s, app.state.reserve)
    app.state.postman = Postman(engine, settings, app.state.stopping)
    app.state.uploads = Uploads()
    app.state.meanings = HeadingMeanings(settings)
    app.state.evidence_waiting = WaitingMost.of(settings)
    app.state.look_ups = LookUps(settings)
    app.state.scanner = Scanner.of(settings)
    app.state.browsers = KnownBrowsers(settings.home)
    app.state.pace = Pace()
    app.state.views = ViewBuffer(engine, count_lost=count_lost_views)
    app.state.sign_in_failures = SignInFailures(app.state.views.put)
    app.state.provider = Provider(settings) if settings.oidc_issuer else None
    app.state.bound_roles = roles_bound(settings.second_factor, settings.home)
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


def _look_at_persons_key(engine: Engine, settings: Settings) -> None:
    """Note the fingerprint of a key that an earlier release made; say so if the key is not the one of this home."""
    with reading(engine) as session:
        problem, unnoted = key_problem(session, settings.home), is_unnoted(session, settings.home)
    if problem is not None:
        structlog.get_logger("gloria").error("nobody can be registered", reason=str(problem))
    elif unnoted:
        # Whoever registers the next person notes it otherwise.
        with suppress(BusyError), writing(engine) as session:
            note_key(session, make_key(settings.home), datetime.now(UTC))


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
    app.state.looking = CapacityLimiter(jobs.LOOKING_THREADS)
    app.state.views.start()
    app.state.jobs.start()
    app.state.postman.start()
    yield
    app.state.jobs.stop()
    app.state.postman.stop()
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
