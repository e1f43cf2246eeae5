"""One request for a page: who asks, what the API answers them, and the page or the refusal made of it.

In: a browser's request. Out: documents of the API's own routes, the menu of what this person may open, and a page
of a template; where something is refused, a page or a notice that says what is wrong and what to do. It exists so
that a page can do nothing that the API would not do for the same person.
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

from api.access.credentials import Proof
from api.access.policy import BEFORE_SECOND_FACTOR, Action, Resource, admits
from api.access.second_factor import SecondFactorError
from api.documents.bodies import ConfirmBody
from api.pages.shell.templating import rendered
from api.pages.shell.wording import N_, lang_of, said_before, scheme_of
from api.requests.idempotency import Reply
from api.requests.one_state import seeing_one_state, state_of
from api.requests.permitted_request import COOKIE, SAFE_METHODS, PermittedRequest
from api.requests.problems import (
    REFUSED,
    ProblemError,
    Refusal,
    UnconfirmedError,
    as_problem,
    refusal_of,
    unauthenticated,
)
from api.routes.accounts import confirm
from api.trail.audit_trail import Subject
from api.trail.request_trail import subjects_named, trail_of
from indexer.database import RETRY_AFTER_S, storing_file
from matcher.notices.outbox import unread
from matcher.review.people import Principal
from matcher.review.roles import STAFF, Role


@dataclass(frozen=True)
class Place:
    """One place of the menu; `only` are the roles it is made for, where the permission alone says too little."""

    path: str
    label: str
    icon: str
    resource: Resource
    action: Action
    only: tuple[Role, ...] = ()


PLACES: tuple[Place, ...] = (
    Place("/desk", N_("Desk"), "inbox", Resource.AGENDA, Action.READ),
    Place("/company", N_("My needs"), "clipboard-list", Resource.NEED, Action.CREATE, (Role.COMPANY,)),
    Place("/my-lab", N_("My lab"), "flask-conical", Resource.LAB, Action.EDIT),
    Place("/needs", N_("Needs"), "clipboard-list", Resource.NEED, Action.LIST, (*STAFF, Role.OFFICE)),
    Place("/labs", N_("Labs"), "flask-conical", Resource.LAB, Action.LIST, (*STAFF, Role.OFFICE)),
    Place("/companies", N_("Companies"), "building-2", Resource.COMPANY, Action.LIST, (*STAFF, Role.OFFICE)),
    Place("/imports", N_("Import"), "file-up", Resource.IMPORT_DRAFT, Action.LIST),
    Place("/portfolio", N_("All needs at once"), "list-filter", Resource.PORTFOLIO, Action.READ),
    Place("/map", N_("Map"), "map", Resource.FIELD_MAP, Action.READ),
    Place("/cases", N_("Cases"), "handshake", Resource.CASE, Action.LIST),
    Place("/results", N_("Results"), "award", Resource.ENTRY, Action.LIST),
    Place("/review", N_("Review"), "list-checks", Resource.ENTRY, Action.RETURN),
    Place("/judging", N_("Judging"), "scale", Resource.JUDGING, Action.LIST, STAFF),
    Place("/kpi", N_("KPI"), "chart-column", Resource.REPORT, Action.READ),
    Place("/sufficiency", N_("Self-sufficiency"), "sprout", Resource.SUFFICIENCY, Action.READ),
    Place("/warnings", N_("Warnings"), "triangle-alert", Resource.STANDING, Action.READ),
    Place("/admin/jobs", N_("Jobs"), "activity", Resource.JOB, Action.LIST, STAFF),
    Place("/admin", N_("Administration"), "settings", Resource.ACCOUNT, Action.LIST),
)
"""Every place of the menu."""
_FIRST = ("/desk", "/company", "/my-lab", "/review", "/needs", "/cases", "/companies", "/kpi", "/results", "/labs")
_IN_BAR = 4
"""A phone's bar has room for five: so many places, those that come first here, and the way to all of them."""


@dataclass(frozen=True)
class MenuItem:
    """A place as it is shown: where it leads, its name and icon, if it is open now, and if it is in a phone's bar."""

    path: str
    label: str
    icon: str
    is_here: bool
    is_main: bool


def menu_of(who: Principal, path: str) -> list[MenuItem]:
    """Return the menu of a person on a page."""
    allowed = [
        place
        for place in PLACES
        if admits(who, place.resource, place.action) and (not place.only or who.holds(*place.only))
    ]
    paths = [place.path for place in allowed]
    in_bar = sorted(paths, key=lambda one: _FIRST.index(one) if one in _FIRST else len(_FIRST))[:_IN_BAR]
    # Of two places that begin alike the longer one is meant.
    here = max((one for one in paths if path == one or path.startswith(one + "/")), key=len, default="")
    return [
        MenuItem(place.path, place.label, place.icon, place.path == here, place.path in in_bar) for place in allowed
    ]


def first_place(who: Principal) -> str:
    """Return where a person begins."""
    return next((shown.path for shown in menu_of(who, "")), "/account")


_FOR_PROGRAMS = ("/api/", "/feed/", "/healthz", "/readyz", "/metrics", "/static/")
_WHAT_TO_DO = {
    "unauthenticated": N_("Sign in first."),
    "forbidden": N_("Your role does not allow this. Ask your programme office if it should."),
    "not-found": N_("There is no such page or record, or it is not for you to see."),
    "stale": N_("Somebody else changed this in the meantime. Load the page again and repeat your change."),
    "precondition": N_("Load the page again and repeat your change."),
    "key-reused": N_("This form was sent before. Load the page again to see what came of it."),
    "already-decided": N_("Somebody else has decided this pairing already. Load the page again to see it."),
    "rate-limit": N_("Too many requests within a minute. Wait a moment."),
    "throttled": N_("Too many failed attempts to sign in. Try again in 15 minutes."),
    "too-large": N_("What you sent is too large."),
    "no-index": N_("Matching is not available: there is no usable index. Intake, review and the ledger go on working."),
    "no-encoder": N_("Matching is not available: a language model can't be loaded. Everything else goes on working."),
    "busy": N_("The server has too much to do just now. Try again in a moment; nothing was lost."),
    "database": N_("The database can't be reached. Nothing was stored; try again in a moment."),
    "storage-full": N_(
        "The disk is full: nothing of this was stored. What is stored can still be read. Tell whoever runs this server."
    ),
    "storage-low": N_(
        "The disk is almost full: nothing of this was stored. Signing in and the ledger go on. Tell whoever runs this "
        "server."
    ),
    "evidence-waiting": N_(
        "Too many of the files that were sent stand in no result yet. Report results with them, or wait until they are "
        "deleted."
    ),
    "conflict-of-interest": N_("You may not decide this: somebody else has to, for the reason named below."),
    "two-people": N_("This takes a second person."),
    "confirm": N_("Confirm that it is you"),
    "claimed-elsewhere": N_("Another report claims this result already."),
    "already-reported": N_("This result was reported already."),
    "second-factor": N_("Show your second factor first."),
    "code": N_("The code is not right, or can't be used now."),
    "keys": N_("Your keys can't be changed that way."),
    "sign-in": N_("The address or the password is wrong."),
    "fault": N_("Something went wrong on our side. It was noted, and nothing of yours was lost. Try again."),
    "method-not-allowed": N_("This page can't be used that way."),
}
_OTHERWISE = N_("That is not possible as it stands. What is to blame is named below.")


def what_to_do(name: str) -> str:
    """Return what a person is told about a kind of refusal, as a text of the catalogue."""
    return _WHAT_TO_DO.get(name, _OTHERWISE)


def tell(request: Request, refusal: Refusal) -> Response:
    """Tell whoever asked, in the form that they understand."""
    path = request.url.path
    if path.startswith(_FOR_PROGRAMS):
        return as_problem(request, refusal)
    by_htmx = request.headers.get("HX-Request") == "true"
    if refusal.name == "moved":
        return Response(b"", refusal.status, {"Cache-Control": "no-store", **refusal.headers})
    if refusal.status == 401 or refusal.name == "second-factor":
        back = path if request.method in SAFE_METHODS and not by_htmx else "/"
        query = f"?{request.url.query}" if request.url.query and back == path else ""
        place = "/sign-in" if refusal.status == 401 else "/second-factor"
        place += "" if back == "/" else f"?then={quote(back + query, safe='/')}"
        headers = {"HX-Redirect": place} if by_htmx else {"Location": place}
        return Response(b"", 200 if by_htmx else 303, {"Cache-Control": "no-store", **headers})
    headers = {"Cache-Control": "no-store", "Vary": "Cookie, HX-Request", **refusal.headers}
    if refusal.name == "confirm":
        return _ask_to_confirm(request, refusal, headers, by_htmx=by_htmx)
    if refusal.status == 503:
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    if by_htmx:
        headers |= {"HX-Retarget": "#notice", "HX-Reswap": "innerHTML"}
    context = {
        "refusal": refusal,
        "what_to_do": what_to_do(refusal.name),
        "is_known": refusal.name in _WHAT_TO_DO,
        "csrf_token": getattr(request.state, "csrf_token", None) or "",
        # Not where it was: a refusal quotes nothing of what was sent.
        "here": "/",
        "scheme": scheme_of(request),
    }
    template = "shell/refusal_notice.html" if by_htmx else "shell/refusal.html"
    content = rendered(template, lang_of(request), context)
    return Response(content, refusal.status, headers, "text/html; charset=utf-8")


CONFIRMING = "confirm_password"
"""The field of a form that carries the password with it."""
CONFIRMING_CODE = "confirm_code"
_NOT_KEPT = (CONFIRMING, CONFIRMING_CODE, "csrf_token")


def _ask_to_confirm(request: Request, refusal: Refusal, headers: dict[str, str], *, by_htmx: bool) -> Response:
    """Ask for the password, with what was sent kept in the form: once it is given, the act is carried out."""
    if by_htmx:
        return Response(b"", 200, {"Cache-Control": "no-store", "HX-Redirect": "/confirm"})
    sent: FormData | None = getattr(request.state, "form", None)
    kept = [] if sent is None else sent.multi_items()
    context = {
        "action": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "kept": [(name, one) for name, one in kept if isinstance(one, str) and name not in _NOT_KEPT],
        "was_wrong": sent is not None and CONFIRMING in sent,
        "provider": getattr(request.app.state.provider, "name", None),
        "csrf_token": getattr(request.state, "csrf_token", None) or "",
        "here": "/",
        "scheme": scheme_of(request),
    }
    content = rendered("account/confirm.html", lang_of(request), context)
    return Response(content, refusal.status, headers, "text/html; charset=utf-8")


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
class _PageAsking(PermittedRequest):
    form: Mapping[str, Any] = field(default_factory=dict)
    work_name: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    page: tuple[Resource, Action] | None = None

    def admitted(self, session: Session) -> Principal:
        """Return who asks, if they may enter the page, which comes first, and do this as well."""
        if self.page is not None and getattr(self.request.state, "visitor", None) is None:
            resource, action = self.page
            entering = replace(self, resource=resource, action=action, page=None)
            who = self.request.state.visitor = entering.admitted(session)
            is_whole = self.request.method in SAFE_METHODS and self.request.headers.get("HX-Request") != "true"
            if is_whole and self.page not in BEFORE_SECOND_FACTOR:
                # For the bell, in the transaction that the page begins with.
                self.request.state.unread = unread(session, who.id)
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
        if CONFIRMING in self.form:
            self._confirm()
        return self

    def _confirm(self) -> None:
        """Take the password that came with a form which waited for it."""
        resource, action = _permission(confirm)
        # Whoever proves to be there has not entered the page yet.
        asking = replace(self._asking(resource, action, confirm.__name__), page=None)
        given = {"password": self.form[CONFIRMING], "code": self.form.get(CONFIRMING_CODE) or None}
        try:
            confirm(body=self.body(ConfirmBody, given), ask=asking)
        except ProblemError as error:
            if error.name != "password":
                raise
            raise UnconfirmedError(error.detail) from error
        except SecondFactorError as error:
            raise UnconfirmedError(str(error)) from error

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
        except UnconfirmedError:
            # Not for the form to tell: it is sent again once the person has proved to be there.
            raise
        except REFUSED as error:
            return refusal_of(error)

    def reads(self, need_id: str, *, withheld: bool = False) -> None:
        """Note that the page shows a need by itself, beside what the routes that it asks show; see `NeedReader`."""
        trail = trail_of(self.request)
        trail.watched = True
        trail.subjects.add(Subject("need", need_id, withheld))

    def body(self, model: type[Body], values: Mapping[str, Any]) -> Body:
        """Return the body that a route takes, made of values of a form.

        Raises:
            RequestValidationError: a value is not right.
        """
        try:
            return model.model_validate(dict(values), context={"form": True})
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

    def show_part(self, template: str, heading: str, back: str, /, **context: Any) -> Response:
        """Return what htmx puts into a page; without it a page of its own that holds nothing else.

        Args:
            template: the part.
            heading: of its own page, a text to be translated.
            back: the page that the part belongs to.
            context: see `show`.
        """
        if self.by_htmx:
            return self.show(template, **context)
        return self.show("shell/section_page.html", part=template, heading=heading, back=back, **context)

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
            "unread": getattr(self.request.state, "unread", 0),
            "scheme": scheme_of(self.request),
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
        request.state.form = form
        return Visit(request, resource, action, form)

    visit.permission = (resource, action)  # type: ignore[attr-defined]
    return visit
