"""What a link shows to whoever has it: the shortlist as a page, as PDF and as DOCX.

In: the secret of an address. Out: the page in the link's own language, without a menu, a form or a script; for a
secret that opens nothing one and the same answer, whether it expired, was taken back or never was. It exists for
people without an account. Search engines are told to leave it alone, nothing keeps a copy, the address is in no log
and in no referrer. An opening is counted, and noted in the audit trail without a person; that nothing can be stored
just now keeps nobody from reading.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from sqlmodel import Session

from api.pages.shell.templating import rendered
from api.pages.shell.wording import Lang
from api.requests.capacity import REPORTING, ThreadedRoute, takes
from api.requests.problems import not_found
from api.routes.shortlists.handed_out import MEDIA_TYPES, HandoutFormat, handout_of, names_by_link
from api.trail.audit_trail import Act, How, Outcome, Subject
from api.trail.request_trail import MACHINE, operation_of, request_id_of
from indexer.database import BusyError, DatabaseGoneError, LowRoomError, StorageFullError, reading, writing
from indexer.instants import now
from indexer.records.record_tables import Need
from matcher.handouts.handout import Handout
from matcher.handouts.pictures import Owner, picture_of
from matcher.handouts.shortlists import Shortlist, ShortlistLink, link_of, note_opening
from matcher.handouts.web_page import render_body
from matcher.ledger.rendering.report_texts import ReportLanguage

router = APIRouter(prefix="/shared", include_in_schema=False, route_class=ThreadedRoute)

Secret = Annotated[str, Path(max_length=100)]
_HEADERS = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow, noarchive"}
_MEANWHILE = (BusyError, LowRoomError, StorageFullError, DatabaseGoneError)


@router.get("/{secret}")
def show_shared(secret: Secret, request: Request) -> Response:
    """Show a shortlist to whoever has its link."""
    found = _opened(request, secret, _read)
    if found is None:
        page = rendered("shortlists/closed.html", Lang.ZH, {})
        return Response(page, 404, _HEADERS, "text/html; charset=utf-8")
    link, handout, needs = found
    _note(request, link, needs)
    language = ReportLanguage(link.language)
    lang = Lang.EN if language is ReportLanguage.EN else Lang.ZH
    place = f"/shared/{secret}"
    body = render_body(handout, language, logo_address=f"{place}/logo" if handout.logo else "", own_heading="h2")
    context = {"body": body, "title": handout.title, "place": place, "until": link.expires_at, "both": language}
    return Response(rendered("shortlists/shared.html", lang, context), 200, _HEADERS, "text/html; charset=utf-8")


@router.get("/{secret}/file")
@takes(REPORTING)
def read_shared_file(
    secret: Secret, request: Request, form: Annotated[HandoutFormat, Query(alias="format")] = HandoutFormat.PDF
) -> Response:
    """Give the shortlist as a file, as PDF or DOCX."""
    found = _opened(request, secret, _read)
    if found is None or form is HandoutFormat.EML:
        raise not_found()
    link, handout, needs = found
    _note(request, link, needs, counted=False)
    language = ReportLanguage(link.language)
    if form is HandoutFormat.PDF:
        from matcher.handouts.paper import render_pdf as render
    else:
        from matcher.handouts.word_file import render_docx as render
    headers = {**_HEADERS, "Content-Disposition": f'attachment; filename="shortlist.{form.value}"'}
    return Response(render(handout, language), 200, headers, MEDIA_TYPES[form])


@router.get("/{secret}/logo")
def read_shared_logo(secret: Secret, request: Request) -> Response:
    """Give the logo of the alliance that made the shortlist."""

    def read(session: Session, link: ShortlistLink) -> bytes:
        shortlist = session.get_one(Shortlist, link.shortlist_id)
        return picture_of(session, Owner.ALLIANCE, shortlist.alliance_id)

    content = _opened(request, secret, read)
    if not content:
        raise not_found("picture")
    return Response(content, 200, _HEADERS, "image/png")


Found = TypeVar("Found")
_Read = tuple[ShortlistLink, Handout, tuple[Subject, ...]]


def _read(session: Session, link: ShortlistLink) -> _Read:
    shortlist = session.get_one(Shortlist, link.shortlist_id)
    need = session.get_one(Need, shortlist.need_id)
    names = names_by_link(shortlist, need)
    # Whoever opens it is nobody here; `_note` puts it into the trail.
    handout = handout_of(session, shortlist, names_need=names, to=MACHINE)
    return link, handout, (Subject("need", need.id, not names), Subject("shortlist", str(shortlist.id)))


def _opened(request: Request, secret: str, read: Callable[[Session, ShortlistLink], Found]) -> Found | None:
    """Return what an open link leads to, None for a secret that opens nothing."""
    request.app.state.strangers.count(request.client.host if request.client else "")
    with reading(request.app.state.engine) as session:
        link = link_of(session, secret, now())
        if link is None:
            return None
        found = read(session, link)
        session.expunge_all()
        return found


def _note(request: Request, link: ShortlistLink, subjects: tuple[Subject, ...], *, counted: bool = True) -> None:
    at = now()
    if counted:
        with suppress(*_MEANWHILE), writing(request.app.state.engine) as session:
            note_opening(session, link.id or 0, at)
    act = Act(
        at=at,
        resource="shortlist",
        action="read",
        how=How.PAGE,
        operation=operation_of(request),
        rights="link",
        method=request.method,
        outcome=Outcome.SEEN,
        status=200,
        request_id=request_id_of(request),
        subjects=(*subjects, Subject("shortlist_link", str(link.id))),
    )
    request.app.state.views.put(act)
