"""The front door and everybody's own page: signing in and out, second factor, language, password, keys, interests.

In: a browser without or with a session, and what people change about themselves. Out: a session, the first page of
each role, and the same as the API's `/api/me` in a form.
"""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import quote

import orjson
import segno
from fastapi import APIRouter, Depends, Query, Request, Response
from markupsafe import Markup
from pydantic import ValidationError
from starlette.datastructures import FormData

from api.access.policy import Action, Resource, admits
from api.documents.bodies import CodeBody, OwnKeyBody, OwnPasswordBody, PasswordBody, PhoneBody, SignInBody, StakeBody
from api.pages.shell.record_names import scope_names
from api.pages.shell.templating import rendered
from api.pages.shell.visiting import Visit, first_place, visiting, what_to_do
from api.pages.shell.wording import LANG_COOKIE, N_, SCHEME_COOKIE, Lang, Scheme, lang_of, scheme_of
from api.requests.capacity import SIGNING_IN, ThreadedRoute, takes
from api.requests.problems import ProblemError, Refusal, forbidden
from api.routes.accounts import (
    add_key,
    change_password,
    change_phone,
    declare_interest,
    end_key,
    list_keys,
    read_me,
    wake_own_key,
)
from api.routes.companies import find_company_names
from api.routes.labs import find_lab_names
from api.routes.sessions import (
    begin_second_factor,
    end_other_sessions,
    end_own_session,
    end_second_factor,
    enrol_second_factor,
    list_sessions,
    read_second_factor,
    renew_codes,
    show_second_factor,
    signing_in_share,
)
from api.routes.sessions import sign_in as open_session
from api.routes.sessions import sign_out as close_session
from indexer.wording import T_

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

# On this host only: two slashes, or one of them backwards, would lead to another.
_LOCAL = re.compile(r"/(?![/\\])[!-~]{0,500}")
_A_YEAR_S = 365 * 24 * 3600
Then = Annotated[str, Query(max_length=600)]


async def _form(request: Request) -> FormData:
    return await request.form(max_files=0, max_fields=10)


@router.get("/")
def open_first_page(
    visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.READ))],
) -> Response:
    """Send somebody to where their work begins."""
    return visit.go(visit.look(lambda _, who: first_place(who)))


@router.get("/sign-in")
def show_sign_in(request: Request, then: Then = "/") -> Response:
    """Show the way in: address and password, or the sign-on provider."""
    return _sign_in_page(request, then)


def _sign_in_page(
    request: Request, then: str, email: str = "", refused: str | None = None, status: int = 200
) -> Response:
    provider = request.app.state.provider
    context = {
        "then": then if _LOCAL.fullmatch(then) else "/",
        "email": email,
        "refused": None if refused is None else what_to_do(refused),
        "provider": None if provider is None else provider.name,
        "here": "/sign-in",
        "scheme": scheme_of(request),
    }
    content = rendered("account/sign_in.html", lang_of(request), context)
    return Response(content, status, {"Cache-Control": "no-store"}, "text/html; charset=utf-8")


@router.post("/sign-in")
@takes(signing_in_share)
def sign_in(request: Request, form: Annotated[FormData, Depends(_form)]) -> Response:
    """Sign in with a password and go on to the page that was wanted."""
    given = {name: str(form.get(name, "")) for name in ("email", "password", "then")}
    # A form on another site must not sign somebody in as somebody else.
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise forbidden(T_("sign in on this site's own page"))
    try:
        body = SignInBody(email=given["email"], password=given["password"])
        opened = open_session(request, body)
    except (ValidationError, ProblemError) as error:
        name, status = (error.name, error.status) if isinstance(error, ProblemError) else ("sign-in", 401)
        return _sign_in_page(request, given["then"], given["email"], name, status)
    awaits = orjson.loads(opened.body).get("second_factor")
    response = _sent_to(given["then"] if awaits is None else _factor_place(given["then"]))
    for value in opened.headers.getlist("set-cookie"):
        response.headers.append("set-cookie", value)
    return response


# Under the permission that a session has before its second factor: whoever can't show it must be able to leave.
@router.post("/sign-out")
def sign_out(visit: Annotated[Visit, Depends(visiting(Resource.SECOND_FACTOR, Action.READ))]) -> Response:
    """Sign this browser out."""
    visit.who()
    closed = close_session(visit.request)
    response = _sent_to("/sign-in")
    for value in closed.headers.getlist("set-cookie"):
        response.headers.append("set-cookie", value)
    return response


@router.get("/confirm")
def show_confirmation(
    visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.READ))], then: Then = "/"
) -> Response:
    """Ask for the password once more, for what only a person does who is there."""
    place = then if _LOCAL.fullmatch(then) else "/"
    provider = getattr(visit.request.app.state.provider, "name", None)
    return visit.show(
        "account/confirm.html", action="/confirm", kept=[("then", place)], was_wrong=False, provider=provider
    )


@router.post("/confirm")
@takes(SIGNING_IN)
def take_confirmation(visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.EDIT))]) -> Response:
    """Go on to where it was needed: the password that came with the form is known to be right."""
    visit.who()
    return _sent_to(str(visit.form.get("then", "/")))


@router.get("/language/{lang}")
def choose_language(lang: Lang, then: Then = "/") -> Response:
    """Keep the language in which this browser reads, and go back to where it was."""
    response = _sent_to(then)
    response.set_cookie(LANG_COOKIE, lang.value, max_age=_A_YEAR_S, path="/", httponly=True, samesite="lax")
    return response


@router.get("/scheme/{scheme}")
def choose_scheme(scheme: Scheme, then: Then = "/") -> Response:
    """Keep whether pages are light or dark in this browser, and go back to where it was."""
    response = _sent_to(then)
    response.set_cookie(SCHEME_COOKIE, scheme.value, max_age=_A_YEAR_S, path="/", httponly=True, samesite="lax")
    return response


def _sent_to(place: str) -> Response:
    safe = place if _LOCAL.fullmatch(place) else "/"
    return Response(b"", 303, {"Location": safe, "Cache-Control": "no-store"})


@router.get("/account")
def show_account(visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.READ))]) -> Response:
    """Show the page."""
    return _page(visit)


def _page(visit: Visit, refused: Refusal | None = None, form: str = "", new_key: str | None = None) -> Response:
    sessions = visit.document(list_sessions)["items"]
    account = visit.document(read_me)
    ids = [one["party_id"] for one in account["stakes"]] + [one["scope"] for one in account["roles"] if one["scope"]]
    context: dict[str, Any] = {
        "account": account,
        "parties": visit.look(lambda session, _: scope_names(session, ids)),
        "alike": _alike(visit) if form == "stake" else [],
        "stake": visit.values("party", "party_id"),
        "keys": visit.document(list_keys)["items"],
        "sessions": [one | {"browser": _browser(one["agent"] or "")} for one in sessions],
        "factor": visit.document(read_second_factor),
        "refused": refused,
        "form": form,
        "made_key": new_key,
    }
    return visit.show("account/own.html", refused.status if refused else 200, **context)


def _browser(agent: str) -> str:
    """Return the names by which people know a browser and its system; what it calls itself if there are none."""
    from ua_parser import parse

    found = parse(agent)
    named = [part.family for part in (found.user_agent, found.os) if part is not None]
    return ", ".join(named) or agent


@router.post("/account/phone")
def set_own_phone(visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.EDIT))]) -> Response:
    """Say under which number one wants to be called."""
    body = visit.body(PhoneBody, {"phone": visit.form.get("phone", "")})
    refused = visit.attempt(lambda: visit.reply(change_phone, body=body))
    if isinstance(refused, Refusal):
        return _page(visit, refused, "phone")
    return visit.go("/account", N_("Your telephone number is changed."))


@router.post("/account/password")
@takes(SIGNING_IN)
def set_password(visit: Annotated[Visit, Depends(visiting(Resource.PROFILE, Action.EDIT))]) -> Response:
    """Change the password."""

    def work() -> None:
        given: dict[str, Any] = visit.values("old", "new")
        given["end_keys"] = visit.form.get("end_keys") == "yes"
        visit.reply(change_password, body=visit.body(PasswordBody, given))

    refused = visit.attempt(work)
    if refused is not None:
        return _page(visit, refused, "password")
    return visit.go("/account", N_("Your password is changed. Your other browsers are signed out."))


@router.post("/account/keys")
@takes(SIGNING_IN)
def make_key(visit: Annotated[Visit, Depends(visiting(Resource.KEY, Action.CREATE))]) -> Response:
    """Make a key and show it, this once."""

    def work() -> str:
        given: dict[str, Any] = visit.values("name", "days", "password")
        given["may_write"] = visit.form.get("may_write") == "yes"
        return str(visit.reply(add_key, body=visit.body(OwnKeyBody, given)).secret.get("key", ""))

    made = visit.attempt(work)
    if isinstance(made, Refusal):
        return _page(visit, made, "key")
    return _page(visit, new_key=made)


@router.post("/account/keys/{prefix}/end")
def stop_key(prefix: str, visit: Annotated[Visit, Depends(visiting(Resource.KEY, Action.END))]) -> Response:
    """End a key."""
    visit.reply(end_key, prefix=prefix)
    return visit.go("/account", N_("The key no longer works."))


@router.post("/account/keys/{prefix}/wake")
@takes(SIGNING_IN)
def wake_key(prefix: str, visit: Annotated[Visit, Depends(visiting(Resource.KEY, Action.EDIT))]) -> Response:
    """Let a key that sleeps work."""
    refused = visit.attempt(
        lambda: visit.reply(wake_own_key, prefix=prefix, body=visit.body(OwnPasswordBody, visit.values("password")))
    )
    if isinstance(refused, Refusal):
        return _page(visit, refused, f"wake-{prefix}")
    return visit.go("/account", N_("The key works now."))


@router.post("/account/sessions/end")
def sign_others_out(visit: Annotated[Visit, Depends(visiting(Resource.SESSION, Action.END))]) -> Response:
    """Sign all other browsers out."""
    visit.reply(end_other_sessions)
    return visit.go("/account", N_("Your other browsers are signed out."))


@router.post("/account/sessions/{session_id}/end")
def sign_one_out(session_id: str, visit: Annotated[Visit, Depends(visiting(Resource.SESSION, Action.END))]) -> Response:
    """Sign one browser out."""
    visit.reply(end_own_session, session_id=session_id)
    return visit.go("/account", N_("That browser is signed out."))


def _factor_place(then: str) -> str:
    return f"/second-factor?then={quote(_local(then), safe='/')}"


@router.get("/second-factor")
def show_factor(
    visit: Annotated[Visit, Depends(visiting(Resource.SECOND_FACTOR, Action.READ))], then: Then = "/"
) -> Response:
    """Ask for a code, or lead to setting a second factor up, or show what there is of it."""
    return _factor_page(visit, then)


def _factor_page(visit: Visit, then: str, refused: Refusal | None = None, **more: Any) -> Response:
    context: dict[str, Any] = {
        "factor": visit.document(read_second_factor),
        "then": _local(then),
        "refused": refused,
        "secret": None,
        "picture": None,
        "codes": None,
        **more,
    }
    return visit.show("account/second_factor.html", refused.status if refused else 200, **context)


def _then_of(visit: Visit) -> str:
    return visit.values("then").get("then", "/")


@router.post("/second-factor")
@takes(SIGNING_IN)
def begin_factor(visit: Annotated[Visit, Depends(visiting(Resource.SECOND_FACTOR, Action.CREATE))]) -> Response:
    """Begin to set up a second factor: show the secret, as a picture for the authenticator and as letters."""
    begun = visit.attempt(
        lambda: visit.reply(begin_second_factor, body=visit.body(OwnPasswordBody, visit.values("password"))).secret
    )
    if isinstance(begun, Refusal):
        return _factor_page(visit, _then_of(visit), begun)
    return _factor_page(visit, _then_of(visit), **_for_authenticator(begun["secret"], begun["address"]))


def _for_authenticator(secret: str, address: str) -> dict[str, Any]:
    """Return what hands a secret to an authenticator: letters in groups of four, and a QR code as SVG."""
    groups = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
    drawn = segno.make(address, micro=False).svg_inline(scale=5, border=4, light="#fff", omitsize=False)
    # Drawn here, of nothing but rectangles.
    return {"secret": groups, "address": address, "picture": Markup(drawn)}  # noqa: S704


@router.post("/second-factor/enrolment")
def enrol_factor(visit: Annotated[Visit, Depends(visiting(Resource.SECOND_FACTOR, Action.CREATE))]) -> Response:
    """Have the second factor from now on; show the recovery codes, this once."""
    asked = visit.attempt(lambda: visit.reply(enrol_second_factor, body=visit.body(CodeBody, visit.values("code"))))
    if isinstance(asked, Refusal):
        # What the page showed comes back with its form, so that a mistyped digit does not begin everything anew.
        given = visit.values("secret", "address")
        shown = given if given.keys() == {"secret", "address"} and given["address"].startswith("otpauth://") else None
        again = {} if shown is None else _for_authenticator(shown["secret"].replace(" ", ""), shown["address"])
        return _factor_page(visit, _then_of(visit), asked, **again)
    visit.request.state.csrf_token = asked.secret["csrf_token"]
    response = visit.show(
        "account/recovery_codes.html", 200, codes=asked.secret["recovery_codes"], then=_local(_then_of(visit))
    )
    response.headers.append("Set-Cookie", asked.headers["Set-Cookie"])
    return response


@router.post("/second-factor/code")
def give_code(visit: Annotated[Visit, Depends(visiting(Resource.SECOND_FACTOR, Action.CHECK))]) -> Response:
    """Show the second factor, and go on to the page that was wanted."""
    asked = visit.attempt(lambda: visit.reply(show_second_factor, body=visit.body(CodeBody, visit.values("code"))))
    if isinstance(asked, Refusal):
        return _factor_page(visit, _then_of(visit), asked)
    response = visit.go(_local(_then_of(visit)))
    response.headers.append("Set-Cookie", asked.headers["Set-Cookie"])
    return response


@router.post("/second-factor/recovery-codes")
def renew_recovery(visit: Annotated[Visit, Depends(visiting(Resource.SECOND_FACTOR, Action.EDIT))]) -> Response:
    """Make new recovery codes and show them, this once."""
    asked = visit.attempt(lambda: visit.reply(renew_codes, body=visit.body(CodeBody, visit.values("code"))))
    if isinstance(asked, Refusal):
        return _factor_page(visit, "/account", asked)
    return visit.show("account/recovery_codes.html", 200, codes=asked.secret["recovery_codes"], then="/account")


@router.post("/second-factor/end")
def end_factor(visit: Annotated[Visit, Depends(visiting(Resource.SECOND_FACTOR, Action.END))]) -> Response:
    """End the second factor."""
    asked = visit.attempt(lambda: visit.reply(end_second_factor, body=visit.body(CodeBody, visit.values("code"))))
    if isinstance(asked, Refusal):
        return _factor_page(visit, "/account", asked)
    return visit.go("/second-factor", N_("Your second factor is ended."))


def _local(place: str) -> str:
    return place if _LOCAL.fullmatch(place) else "/"


@router.post("/account/stakes")
def declare(visit: Annotated[Visit, Depends(visiting(Resource.STAKE, Action.CREATE))]) -> Response:
    """Declare an interest in a company or a lab."""
    given = visit.values("party", "party_id")
    # A name of the list that a mere part of one led to.
    if chosen := visit.values("chosen"):
        given["party_id"] = chosen["chosen"]
    refused = visit.attempt(lambda: visit.document(declare_interest, body=visit.body(StakeBody, given)))
    if isinstance(refused, Refusal):
        return _page(visit, refused, "stake")
    return visit.go("/account", N_("Your interest is declared. That party's pairings are no longer shown to you."))


_FEWEST_LETTERS, _MOST_ALIKE = 2, 8


def _alike(visit: Visit) -> list[tuple[str, str, str]]:
    """Return id and names of what has the typed words in its name, of the companies and labs that one may look up."""
    given = visit.values("party", "party_id")
    words = given.get("party_id", "").strip()[:100]
    if len(words) < _FEWEST_LETTERS:
        return []
    if given.get("party") == "lab":
        found = visit.attempt(lambda: visit.document(find_lab_names, q=words, limit=_MOST_ALIKE))
    elif admits(visit.who(), Resource.COMPANY_NAME, Action.LIST):
        found = visit.attempt(lambda: visit.document(find_company_names, q=words, limit=_MOST_ALIKE))
    else:
        return []
    ids = [] if isinstance(found, Refusal) else [one["id"] for one in found["items"]]
    called = visit.look(lambda session, _: scope_names(session, ids))
    return [(one, *called[one]) for one in ids]
