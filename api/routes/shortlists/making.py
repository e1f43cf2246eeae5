"""Shortlists made, changed, read and taken out as files; links to them; a lab's dossier; an alliance's logo.

In: what an expert chooses and writes. Out: the shortlist, files in three formats and languages, links that are told
once. It exists because what leaves the house leaves by a person: nothing here sends anything.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.documents.answers import Page, file_of
from api.documents.bodies import MAX_ROW_NUMBER
from api.requests.capacity import REPORTING, ThreadedRoute, takes
from api.requests.idempotency import Reply
from api.requests.permitted_request import PermittedRequest, etag_of, requires
from api.requests.problems import ProblemError, not_found
from api.routes.needs import find_need
from api.routes.shortlists.handed_out import (
    MEDIA_TYPES,
    HandoutFormat,
    LinkAnswer,
    LinkBody,
    NewLinkAnswer,
    NewShortlistBody,
    ShortlistAnswer,
    ShortlistBody,
    dossier_of,
    find_shortlist,
    handout_of,
    link_document,
    names_by_link,
    visible,
)
from indexer.records.record_tables import Need
from indexer.vocabulary import Confidentiality
from indexer.wording import T_
from matcher.handouts.handout import Handout
from matcher.handouts.shortlists import (
    Shortlist,
    ShortlistLink,
    change_shortlist,
    labs_of,
    links_of,
    make_link,
    make_shortlist,
    revoke_link,
)
from matcher.ledger.rendering.report_texts import ReportLanguage
from matcher.review.intake import NeedIntake, NeedShare
from matcher.review.people import Account, Principal
from matcher.review.roles import STAFF

router = APIRouter(prefix="/api", tags=["shortlists"], route_class=ThreadedRoute)

ShortlistId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
LinkId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
Form = Annotated[HandoutFormat, Query(alias="format", description="PDF, DOCX, or the draft of a mail (.eml).")]
FileLanguage = Annotated[ReportLanguage, Query(description="The language of what the file itself says.")]
SHARED = "/shared/"
"""Where a link leads; the secret follows."""


@router.post("/needs/{need_id}/shortlists", status_code=201, response_model=ShortlistAnswer)
def make_one(
    need_id: str,
    body: NewShortlistBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.SHORTLIST, Action.CREATE))],
) -> Response:
    """Put labs that were ranked for a need on a shortlist, in your order, with your words on top.

    `names_need` is true for public needs and false for others unless you say otherwise.
    """

    def work(session: Session, who: Principal) -> Reply:
        need = find_need(session, who, need_id, Action.CREATE, Resource.SHORTLIST)
        if who.has_stake(company_id=need.company, lab_id=None):
            raise not_found("need")
        _free_of_stakes(who, body.labs)
        names = need.confidentiality == Confidentiality.PUBLIC.value if body.names_need is None else body.names_need
        made = make_shortlist(
            session,
            need_id=need_id,
            alliance_id=_alliance_of(session, who, need_id),
            labs=body.labs,
            words=body.words,
            names_need=names,
            by=who.id,
            now=ask.at,
        )
        document = _document(session, made, ask)
        headers = {"ETag": _etag(document), "Location": f"/api/shortlists/{made.id}"}
        return Reply(201, document, headers)

    return ask.write(work, body)


def _alliance_of(session: Session, who: Principal, need_id: str) -> str:
    """Return for which alliance a person speaks: the need's own, or one that it was shared with."""
    alliances = who.scopes(*STAFF)
    own = session.exec(select(NeedIntake.alliance_id).where(NeedIntake.need_id == need_id)).first()
    if own in alliances:
        return str(own)
    shared = select(NeedShare.alliance_id).where(NeedShare.need_id == need_id, col(NeedShare.ended_at).is_(None))
    return min(alliances & set(session.exec(shared).all()))


def _free_of_stakes(who: Principal, labs: list[str]) -> None:
    if any(who.has_stake(company_id=None, lab_id=lab_id) for lab_id in labs):
        raise ProblemError(422, "invalid", T_("you have declared an interest in one of these labs"), "labs")


@router.get("/needs/{need_id}/shortlists", response_model=Page[ShortlistAnswer])
def list_shortlists(
    need_id: str, ask: Annotated[PermittedRequest, Depends(requires(Resource.SHORTLIST, Action.LIST))]
) -> Response:
    """List your alliance's shortlists for a need, the newest first."""

    def work(session: Session, who: Principal) -> Reply:
        find_need(session, who, need_id, Action.LIST, Resource.SHORTLIST)
        query = select(Shortlist).join(Need, col(Need.id) == Shortlist.need_id)
        rows = session.exec(
            query.where(Shortlist.need_id == need_id, visible(who, Action.LIST)).order_by(col(Shortlist.id).desc())
        ).all()
        return Reply(200, {"items": [_document(session, one, ask) for one in rows], "next": None}, {})

    return ask.read(work)


@router.get("/shortlists/{shortlist_id}", response_model=ShortlistAnswer)
def read_shortlist(
    shortlist_id: ShortlistId, ask: Annotated[PermittedRequest, Depends(requires(Resource.SHORTLIST, Action.READ))]
) -> Response:
    """Read a shortlist of your alliance, with its links but not their secrets."""

    def work(session: Session, who: Principal) -> Reply:
        document = _document(session, find_shortlist(session, who, shortlist_id, Action.READ), ask)
        return Reply(200, document, {"ETag": _etag(document)})

    return ask.read(work)


@router.patch("/shortlists/{shortlist_id}", response_model=ShortlistAnswer)
def edit_shortlist(
    shortlist_id: ShortlistId,
    body: ShortlistBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.SHORTLIST, Action.EDIT))],
) -> Response:
    """Change a shortlist; its links show it as it is from then on. Send the ETag that you read as If-Match."""

    def work(session: Session, who: Principal) -> Reply:
        shortlist = find_shortlist(session, who, shortlist_id, Action.EDIT)
        ask.about("need", shortlist.need_id)
        ask.must_match(_etag(_document(session, shortlist, ask)))
        _free_of_stakes(who, body.labs or [])
        change_shortlist(
            session,
            shortlist=shortlist,
            labs=body.labs,
            words=body.words,
            names_need=body.names_need,
            now=ask.at,
        )
        document = _document(session, shortlist, ask)
        return Reply(200, document, {"ETag": _etag(document)})

    return ask.write(work, body)


@router.get("/shortlists/{shortlist_id}/file", response_class=Response, responses=file_of(MEDIA_TYPES.values()))
@takes(REPORTING)
def read_shortlist_file(
    shortlist_id: ShortlistId,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.SHORTLIST, Action.READ))],
    form: Form = HandoutFormat.PDF,
    lang: FileLanguage = ReportLanguage.ZH,
) -> Response:
    """Take a shortlist out as a file: a page for each lab, no score, no rank, no note of yours but the words on top."""
    with ask.reading() as session:
        who = ask.admitted(session)
        shortlist = find_shortlist(session, who, shortlist_id, Action.READ)
        handout = handout_of(session, shortlist, names_need=shortlist.names_need, to=ask)
        author = session.get_one(Account, who.id)
        sender = (author.name, author.email)
    # Typesetting takes longer than reading: no transaction waits for it.
    ask.let_go()
    content = file_content(handout, form, lang, sender=sender, now=ask)
    return _file(content, f"shortlist-{shortlist_id}-{lang.value}", form)


def file_content(
    handout: Handout, form: HandoutFormat, lang: ReportLanguage, *, sender: tuple[str, str], now: PermittedRequest
) -> bytes:
    """Return a handout as a file; only the library of the kind that is asked for is loaded."""
    if form is HandoutFormat.PDF:
        from matcher.handouts.paper import render_pdf

        return render_pdf(handout, lang)
    if form is HandoutFormat.DOCX:
        from matcher.handouts.word_file import render_docx

        return render_docx(handout, lang)
    from matcher.handouts.web_page import mail_draft

    return mail_draft(handout, lang, sender=sender, to="", link="", now=now.at)


def _file(content: bytes, name: str, form: HandoutFormat) -> Response:
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}.{form.value}"'}
    return Response(content, 200, headers, MEDIA_TYPES[form])


@router.get("/labs/{lab_id}/dossier", response_class=Response, responses=file_of(MEDIA_TYPES.values()))
@takes(REPORTING)
def read_dossier(
    lab_id: str,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.LAB, Action.READ))],
    form: Form = HandoutFormat.PDF,
    lang: FileLanguage = ReportLanguage.ZH,
) -> Response:
    """Take a lab's dossier out as a file: two pages of what the lab says and shows of itself."""
    with ask.reading() as session:
        who = ask.admitted(session)
        handout = dossier_of(session, who, lab_id, ask.at)
        author = session.get_one(Account, who.id)
        sender = (author.name, author.email)
    ask.let_go()
    return _file(file_content(handout, form, lang, sender=sender, now=ask), f"lab-{lang.value}", form)


@router.post("/shortlists/{shortlist_id}/links", status_code=201, response_model=NewLinkAnswer)
def make_shortlist_link(
    shortlist_id: ShortlistId,
    body: LinkBody,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.SHORTLIST, Action.SHARE))],
) -> Response:
    """Make a link that opens a shortlist without signing in, until it expires or you take it back.

    Its address is told in this answer and never again. The need's words stand in it only if the need is public.
    """

    def work(session: Session, who: Principal) -> Reply:
        shortlist = find_shortlist(session, who, shortlist_id, Action.SHARE)
        ask.about("need", shortlist.need_id)
        made = make_link(
            session, shortlist_id=shortlist_id, language=body.language, days=body.days, by=who.id, now=ask.at
        )
        return Reply(
            201, {**link_document(made.link, ask.at), "path": None}, {}, secret={"path": f"{SHARED}{made.secret}"}
        )

    return ask.write(work, body)


@router.delete("/shortlists/{shortlist_id}/links/{link_id}", response_model=LinkAnswer)
def end_shortlist_link(
    shortlist_id: ShortlistId,
    link_id: LinkId,
    ask: Annotated[PermittedRequest, Depends(requires(Resource.SHORTLIST, Action.END))],
) -> Response:
    """Take a link back: it opens nothing from now on."""

    def work(session: Session, who: Principal) -> Reply:
        shortlist = find_shortlist(session, who, shortlist_id, Action.END)
        ask.about("need", shortlist.need_id)
        link = session.get(ShortlistLink, link_id)
        if link is None or link.shortlist_id != shortlist_id:
            raise not_found("link")
        revoke_link(session, link=link, by=who.id, now=ask.at)
        return Reply(200, link_document(link, ask.at), {})

    return ask.write(work)


def _document(session: Session, shortlist: Shortlist, ask: PermittedRequest) -> dict[str, Any]:
    need = session.get_one(Need, shortlist.need_id)
    said = shortlist.model_dump(mode="json", exclude={"alliance_id"})
    return {
        **said,
        "alliance": shortlist.alliance_id,
        "names_need_by_link": names_by_link(shortlist, need),
        "labs": [one.lab_id for one in labs_of(session, shortlist.id or 0)],
        "links": [link_document(one, ask.at) for one in links_of(session, shortlist.id or 0)],
    }


def _etag(document: dict[str, Any]) -> str:
    """Return the ETag of what is edited; links come and go beside it."""
    return etag_of({name: value for name, value in document.items() if name != "links"})
