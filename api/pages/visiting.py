"""One request for a page: who asks, what the API answers them, and the page made of it.

In: a browser's request. Out: documents of the API's own routes, asked as this
person in this process, and pages made of them. It exists so that a page can do
and show exactly what the API lets the same person do and see: there is no
second way to the data, and no rule is written twice. What a program sends as
headers (CSRF token, `Idempotency-Key`, `If-Match`) a form sends as hidden fields.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Self, TypeVar
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from sqlmodel import Session
from starlette.datastructures import FormData

from api.asking import COOKIE, SAFE_METHODS, Asking
from api.audit_trail import Subject
from api.audited import subjects_named
from api.credentials import Proof
from api.idempotency import Reply
from api.one_state import seeing_one_state, state_of
from api.pages.finding_lang import lang_of, said_before
from api.pages.menu import menu_of
from api.pages.templating import rendered
from api.policy import Action, Resource, admits
from api.problems import REFUSED, Refusal, refusal_of, unauthenticated
from indexer.database import storing_file
from matcher.people import Principal

SAID_COOKIE = "gloria-said"
_FIELDS = {"X-CSRF-Token": "csrf_token", "Idempotency-Key": "idempotency_key", "If-Match": "etag"}
HEADERS = {"Cache-Control": "no-store", "Vary": "Cookie, HX-Request"}
Found = TypeVar("Found")
Body = TypeVar("Body", bound=BaseModel)
Endpoint = Callable[..., Response]


class _Document(Response):
    """What a route of the API answers, before it is made JSON."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(b"", reply.status)
        self.reply = reply


@dataclass(frozen=True)
class _PageAsking(Asking):
    form: Mapping[str, Any] = field(default_factory=dict)
    work_name: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    page: tuple[Resource, Action] | None = None

    def admitted(self, session: Session) -> Principal:
        """Return who asks, if they may enter the page, which comes first, and do this as well."""
        if self.page is not None and getattr(self.request.state, "visitor", None) is None:
            resource, action = self.page
            entering = replace(self, resource=resource, action=action, page=None)
            self.request.state.visitor = entering.admitted(session)
        return super().admitted(session)

    def note_refused(self, error: Exception) -> None:
        # Who may not enter the page is noted with the page, when the request is over.
        if getattr(self.request.state, "visitor", None) is not None:
            super().note_refused(error)

    def _response(self, reply: Reply) -> Response:
        return _Document(reply)

    def sent(self, header: str) -> str | None:
        given = self.request.headers.get(header) or self.form.get(_FIELDS.get(header, ""))
        if not given:
            return None
        # One form may ask several routes, each of which is carried out once.
        return f"{given}:{self.work_name}" if header == "Idempotency-Key" else str(given)

    def named(self) -> set[Subject]:
        return subjects_named(self.values, self.resource)

    def operation(self) -> str:
        return self.work_name or super().operation()

    def _count(self, who: Principal) -> None:
        # A page asks several routes, but it is one request.
        if not getattr(self.request.state, "counted", False):
            super()._count(who)
            self.request.state.counted = True


class AskingBeforeForm(_PageAsking):
    """Finds out who asks before the form is received, and with it the token that proves the form is one of ours."""

    def _check_token(self, proof: Proof) -> None:
        """The form's token is compared with the session's as soon as the form is there."""


@cache
def _permission(endpoint: Endpoint) -> tuple[Resource, Action]:
    annotation = inspect.signature(endpoint, eval_str=True).parameters["ask"].annotation
    permission: tuple[Resource, Action] = annotation.__metadata__[0].dependency.permission
    return permission


@dataclass(frozen=True)
class Visit:
    """A request for a page by somebody who is signed in, under the permission that its route names."""

    request: Request
    resource: Resource
    action: Action
    form: FormData
    _state: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        """Begin to see one state of the database; a route's endpoint runs within this."""
        self._state.enter_context(seeing_one_state(self.request))
        return self

    def __exit__(self, *error: object) -> None:
        """Let go of it."""
        self._state.close()

    @property
    def by_htmx(self) -> bool:
        """Whether a part of a page is asked for, to be put into the page that is open."""
        return self.request.headers.get("HX-Request") == "true"

    def reply(self, endpoint: Endpoint, /, **values: Any) -> Reply:
        """Ask a route of the API (its endpoint function) as this person; return status, document and headers.

        Raises:
            Exception: one of `REFUSED`, whatever the route refuses.
        """
        resource, action = _permission(endpoint)
        answered = endpoint(ask=self._asking(resource, action, endpoint.__name__, values), **values)
        if not isinstance(answered, _Document):
            raise TypeError(f"{endpoint.__name__} answers with something else than a document")
        return answered.reply

    def who(self) -> Principal:
        """Return who asks, once it is known that they may enter this page, and that a form is their own."""
        known: Principal | None = getattr(self.request.state, "visitor", None)
        return known or self.look(lambda _, who: who)

    def document(self, endpoint: Endpoint, /, **values: Any) -> Any:
        """Do as `reply`, and return the document."""
        return self.reply(endpoint, **values).document

    def attempt(self, work: Callable[[], Found]) -> Found | Refusal:
        """Do something that may be refused, and return the refusal, for a form that is to be shown again with it."""
        try:
            return work()
        except REFUSED as error:
            return refusal_of(error)

    def body(self, model: type[Body], values: Mapping[str, Any]) -> Body:
        """Return the body that a route takes, made of values of a form.

        Raises:
            RequestValidationError: a value is not right.
        """
        try:
            return model.model_validate(dict(values))
        except ValidationError as error:
            raise RequestValidationError(error.errors()) from error

    def values(self, *names: str) -> dict[str, str]:
        """Return the named fields of the form that have a value."""
        found = {name: self.form.get(name) for name in names}
        return {name: value for name, value in found.items() if isinstance(value, str) and value.strip()}

    def look(self, work: Callable[[Session, Principal], Found]) -> Found:
        """Read from the database as this person, under the page's own permission."""
        asking = self._asking(self.resource, self.action)
        with asking.reading() as session:
            return work(session, asking.admitted(session))

    def change(self, work: Callable[[Session, Principal], Found]) -> Found:
        """Change something that only pages have, as this person, under the page's own permission."""
        asking = self._asking(self.resource, self.action)
        with asking.writing() as session:
            who = asking.admitted(session)
            found = work(session, who)
            done = asking.note_change(session, who, None, 200, repeated=False)
        asking.note_stored(done)
        return found

    def _asking(
        self, resource: Resource, action: Action, work_name: str = "", values: Mapping[str, Any] | None = None
    ) -> _PageAsking:
        fields = {name: value for name, value in self.form.items() if isinstance(value, str)}
        named = self.request.path_params if values is None else values
        page = (self.resource, self.action)
        return _PageAsking(self.request, resource, action, form=fields, work_name=work_name, values=named, page=page)

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Store something that the page shows: all that is read after it inside is read in its transaction.

        Raises:
            BusyError, StorageFullError, DatabaseGoneError: nothing was stored.
        """
        state = state_of(self.request)
        with nullcontext() if state is None else state.storing():
            yield

    def show(self, template: str, status: int = 200, /, **context: Any) -> Response:
        """Return a page, or a part of one, in the reader's language.

        Templates have besides `context`: `me` (a `Principal`), `may(resource, action)`, `menu`, `csrf_token`, `here`
        (path and query), `said` (what the last form led to) and `by_htmx`.
        """
        who = self.who()
        # To make a page takes longer than to read for it.
        self._asking(self.resource, self.action).let_go()
        lang = lang_of(self.request)
        said = said_before(self.request.cookies.get(SAID_COOKIE))
        url = self.request.url
        common = {
            "me": who,
            "may": lambda resource, action: admits(who, Resource(resource), Action(action)),
            "menu": menu_of(who, url.path),
            "csrf_token": self.request.state.csrf_token or "",
            "here": url.path + (f"?{url.query}" if url.query else ""),
            "said": said,
            "by_htmx": self.by_htmx,
        }
        response = Response(rendered(template, lang, common | context), status, HEADERS, "text/html; charset=utf-8")
        if said is not None and not self.by_htmx:
            response.delete_cookie(SAID_COOKIE, path="/")
        return response

    def nothing(self) -> Response:
        """Return the answer to what is stored without a word, such as a draft while it is being typed."""
        return Response(b"", 204, HEADERS)

    def go(self, path: str, said: str | None = None) -> Response:
        """Send the browser to another page of ours, which says the text `said` (of the catalogue) once."""
        if self.by_htmx:
            response = Response(b"", 200, {**HEADERS, "HX-Redirect": path})
        else:
            response = Response(b"", 303, {**HEADERS, "Location": path})
        if said is not None:
            response.set_cookie(SAID_COOKIE, quote(said), path="/", max_age=60, httponly=True, samesite="lax")
        return response


def visiting(resource: Resource, action: Action) -> Callable[[Request], Awaitable[Visit]]:
    """Return the dependency of a page's route: what the page touches and what it does to it."""

    async def visit(request: Request) -> Visit:
        if "Authorization" not in request.headers and COOKIE not in request.cookies:
            raise unauthenticated()
        if request.method in SAFE_METHODS:
            return Visit(request, resource, action, FormData())
        # Larger files are put onto the disk as they come.
        with storing_file():
            form = await request.form(max_files=20, max_fields=2_000)
        return Visit(request, resource, action, form)

    visit.permission = (resource, action)  # type: ignore[attr-defined]
    return visit
