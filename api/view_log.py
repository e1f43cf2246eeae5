"""Every view of a request, put into the audit trail once the request is over.

In: requests on their way through. Out: at most one act for each that changed nothing, and the refusals that are kept.
It exists as one place around all routes, so that a new one can't forget it, and because only here it is known how a
request ended.
"""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.audit_trail import Outcome
from api.audited import REFUSALS, Trail, subjects_named, trail_of
from api.view_buffer import ViewBuffer

_FIRST_REFUSAL = 400


class ViewLog:
    """Hands over what was seen and what was refused."""

    def __init__(self, app: ASGIApp, views: ViewBuffer) -> None:
        self.app, self.views = app, views

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note who saw what."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, at = 0, datetime.now(UTC)

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        request = Request(scope)
        trail = trail_of(request)
        try:
            await self.app(scope, receive, noted)
        finally:
            # A client that went away in the middle has seen what it was sent.
            if trail.resource is not None and status:
                self._note(request, trail, at, status)

    def _note(self, request: Request, trail: Trail, at: datetime, status: int) -> None:
        for act in trail.refused:
            self.views.put(act)
        named = subjects_named(request.path_params, trail.resource)
        if status >= _FIRST_REFUSAL:
            if status in REFUSALS and not trail.refused:
                self.views.put(trail.act(request, at, outcome=Outcome.REFUSED, status=status, subjects=named))
            return
        if trail.stored:
            # A change or a part of an export: what was seen besides is a view of its own.
            seen = trail.subjects - trail.changed
            if not seen:
                return
        else:
            if not trail.watched:
                return
            seen = trail.subjects | named
        self.views.put(trail.act(request, at, outcome=Outcome.SEEN, status=status, subjects=seen))
