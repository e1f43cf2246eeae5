"""Refusals as people see them: a page that says what is wrong and what to do, or a notice in the open page.

In: a refusal and the request it answers. Out: for a program the problem
document, for a person who is not signed in the way to sign in, else a page or,
where htmx asked, a notice. It exists so that no page ends in a bare error, in
either language.
"""

from __future__ import annotations

from urllib.parse import quote

from fastapi import Request, Response

from api.asking import SAFE_METHODS
from api.pages.finding_lang import lang_of
from api.pages.templating import rendered
from api.pages.wording import N_
from api.problems import Refusal, as_problem
from indexer.database import RETRY_AFTER_S

_FOR_PROGRAMS = ("/api/", "/healthz", "/readyz", "/metrics", "/static/")
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
    "conflict-of-interest": N_("You may not decide this: you reported it, or declared an interest in a party."),
    "claimed-elsewhere": N_("Another report claims this result already."),
    "already-reported": N_("This result was reported already."),
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
    if refusal.status == 401:
        back = path if request.method in SAFE_METHODS and not by_htmx else "/"
        query = f"?{request.url.query}" if request.url.query and back == path else ""
        place = "/sign-in" if back == "/" else f"/sign-in?then={quote(back + query, safe='/')}"
        headers = {"HX-Redirect": place} if by_htmx else {"Location": place}
        return Response(b"", 200 if by_htmx else 303, {"Cache-Control": "no-store", **headers})
    headers = {"Cache-Control": "no-store", "Vary": "Cookie, HX-Request", **refusal.headers}
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
    }
    template = "refusal_notice.html" if by_htmx else "refusal.html"
    content = rendered(template, lang_of(request), context)
    return Response(content, refusal.status, headers, "text/html; charset=utf-8")
