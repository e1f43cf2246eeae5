"""A shortlist in the making, and as it stands: labs chosen and ordered, words on top, files, links.

In: a need, boxes ticked, words; a shortlist's forms. Out: a form with the labs of the ranking, then a page that shows
the shortlist as its reader sees it, with its files in three formats and languages and its links with how often each was
opened. The address of a new link is shown this once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import unconflicted
from api.documents.bodies import MAX_ROW_NUMBER
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_, Lang, lang_of
from api.requests.capacity import ThreadedRoute
from api.requests.problems import ProblemError, Refusal
from api.routes.needs import read_need
from api.routes.shortlists.handed_out import (
    LinkBody,
    NewShortlistBody,
    ShortlistBody,
    find_shortlist,
    handout_of,
)
from api.routes.shortlists.making import (
    edit_shortlist,
    end_shortlist_link,
    list_shortlists,
    make_one,
    make_shortlist_link,
    read_shortlist,
)
from indexer.records.record_tables import Lab, Need, School
from matcher.handouts.handout import Handout
from matcher.handouts.pictures import Owner, picture_of
from matcher.handouts.shortlists import MOST_LABS, MOST_WORDS
from matcher.handouts.web_page import render_body
from matcher.ledger.rendering.report_texts import ReportLanguage
from matcher.review.people import Principal
from matcher.review.proposals import PairingState, Proposal, StoredPairing

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

MOST_TO_CHOOSE_FROM = 40
ShortlistId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
LinkId = Annotated[int, Path(ge=1, le=MAX_ROW_NUMBER)]
_LABS_FIELD = "labs"
LANGUAGES = ((ReportLanguage.ZH, N_("Chinese")), (ReportLanguage.EN, N_("English")), (ReportLanguage.BOTH, N_("both")))
FORMATS = (("pdf", "PDF"), ("docx", "DOCX"), ("eml", N_("mail draft")))
DAYS = (7, 14, 30, 90)


@router.get("/needs/{need_id}/shortlists")
def show_shortlists(
    need_id: str,
    visit: Annotated[Visit, Depends(visiting(Resource.SHORTLIST, Action.LIST))],
    lab: Annotated[list[str] | None, Query(max_length=200)] = None,
) -> Response:
    """Show the shortlists of a need, and the form for a new one; `lab` are ticked already."""
    return _new_page(visit, need_id, lab or [])


def _new_page(visit: Visit, need_id: str, ticked: list[str], refused: Refusal | None = None) -> Response:
    need = visit.document(read_need, need_id=need_id)
    lists = visit.document(list_shortlists, need_id=need_id)["items"]
    offered = visit.look(lambda session, who: _offered(session, who, need_id))
    ids = [one for one, _ in offered]
    known = visit.look(lambda session, _: _called(session, ids))
    chosen = ticked or [lab_id for lab_id, state in offered if state == PairingState.ACCEPTED]
    return visit.show(
        "shortlists/new.html",
        refused.status if refused else 200,
        need=need,
        lists=lists,
        labs=[(lab_id, known[lab_id], state) for lab_id, state in offered if lab_id in known],
        chosen=chosen,
        most_labs=MOST_LABS,
        most_words=MOST_WORDS,
        words=str(visit.form.get("words", "")),
        names_need=bool(visit.form.get("names_need")) if refused else need["confidentiality"] == "public",
        refused=refused,
    )


def _offered(session: Session, who: Principal, need_id: str) -> list[tuple[str, str]]:
    """Return the labs that were ranked for a need and not rejected, those accepted first, then by their last rank."""
    query = (
        select(StoredPairing.lab_id, StoredPairing.state, Proposal.rank)
        .join(Proposal, col(Proposal.pairing_id) == StoredPairing.id)
        .join(Need, col(Need.id) == StoredPairing.need_id)
        .where(
            StoredPairing.need_id == need_id,
            StoredPairing.state != PairingState.REJECTED.value,
            unconflicted(who),
        )
        .order_by(col(Proposal.id))
    )
    # What was shown last counts.
    last = {lab_id: (state, rank) for lab_id, state, rank in session.exec(query).all()}
    ordered = sorted(last.items(), key=lambda one: (one[1][0] != PairingState.ACCEPTED, one[1][1], one[0]))
    return [(lab_id, state) for lab_id, (state, _) in ordered[:MOST_TO_CHOOSE_FROM]]


def _called(session: Session, ids: list[str]) -> dict[str, dict[str, Any]]:
    rows: Sequence[tuple[Lab, School | None]] = session.exec(
        select(Lab, School).join(School, col(School.id) == col(Lab.school), isouter=True).where(col(Lab.id).in_(ids))
    ).all()
    found = {}
    for lab, school in rows:
        # Where the school is no record of ours, its name is all there is.
        at = (lab.school or "", lab.school or "") if school is None else (school.name, school.name_en or school.name)
        found[lab.id] = {"name": (lab.name, lab.name_en or lab.name), "school": at, "head": lab.pi}
    return found


def _labs_of(visit: Visit) -> list[str]:
    """Return the labs that a form names, those with a number before them in the order of the numbers."""
    chosen = [str(one) for one in visit.form.getlist(_LABS_FIELD)]
    places = {lab_id: str(visit.form.get(f"place-{lab_id}", "")).strip() for lab_id in chosen}
    return sorted(chosen, key=lambda one: int(places[one]) if places[one].isdecimal() else 999)


@router.post("/needs/{need_id}/shortlists")
def make(need_id: str, visit: Annotated[Visit, Depends(visiting(Resource.SHORTLIST, Action.CREATE))]) -> Response:
    """Make a shortlist of the ticked labs."""
    labs = _labs_of(visit)
    given = {"labs": labs, "words": visit.form.get("words", ""), "names_need": bool(visit.form.get("names_need"))}
    made = visit.attempt(lambda: visit.document(make_one, need_id=need_id, body=visit.body(NewShortlistBody, given)))
    if isinstance(made, Refusal):
        if made.status == 404:
            raise ProblemError(404, made.name, made.detail)
        return _new_page(visit, need_id, labs, made)
    return visit.go(f"/shortlists/{made['id']}", N_("The shortlist is made. Nothing of it has been sent."))


@router.get("/shortlists/{shortlist_id}")
def show_shortlist(
    shortlist_id: ShortlistId, visit: Annotated[Visit, Depends(visiting(Resource.SHORTLIST, Action.READ))]
) -> Response:
    """Show a shortlist as its reader sees it, with what can be done with it."""
    return _page(visit, shortlist_id)


def _page(
    visit: Visit, shortlist_id: int, refused: Refusal | None = None, form: str = "", new_path: str | None = None
) -> Response:
    reply = visit.reply(read_shortlist, shortlist_id=shortlist_id)
    shortlist = reply.document

    def read(session: Session, who: Principal) -> tuple[Handout, dict[str, Any], bytes]:
        row = find_shortlist(session, who, shortlist_id, Action.READ)
        handout = handout_of(session, row, names_need=row.names_need, to=visit)
        logo = picture_of(session, Owner.ALLIANCE, row.alliance_id)
        return handout, _called(session, shortlist["labs"]), logo

    handout, known, logo = visit.look(read)
    lang = ReportLanguage.ZH if lang_of(visit.request) is Lang.ZH else ReportLanguage.EN
    address = f"/api/alliances/{shortlist['alliance']}/logo" if logo else ""
    return visit.show(
        "shortlists/shortlist.html",
        refused.status if refused else 200,
        shortlist=shortlist,
        etag=reply.headers["ETag"],
        body=render_body(handout, lang, logo_address=address, own_heading="h2"),
        title=handout.title,
        labs=[(lab_id, known[lab_id]) for lab_id in shortlist["labs"] if lab_id in known],
        languages=LANGUAGES,
        formats=FORMATS,
        days=DAYS,
        most_words=MOST_WORDS,
        own_lang=lang.value,
        words=str(visit.form.get("words", shortlist["words"])) if form == "edit" else shortlist["words"],
        refused=refused,
        form=form,
        new_address=None if new_path is None else str(visit.request.base_url).rstrip("/") + new_path,
    )


@router.post("/shortlists/{shortlist_id}")
def change(
    shortlist_id: ShortlistId, visit: Annotated[Visit, Depends(visiting(Resource.SHORTLIST, Action.EDIT))]
) -> Response:
    """Change words, labs and their order, and whether the need is named."""
    given = {
        "labs": _labs_of(visit),
        "words": visit.form.get("words", ""),
        "names_need": bool(visit.form.get("names_need")),
    }

    def work() -> Any:
        return visit.document(edit_shortlist, shortlist_id=shortlist_id, body=visit.body(ShortlistBody, given))

    refused = visit.attempt(work)
    if isinstance(refused, Refusal):
        if refused.status == 404:
            raise ProblemError(404, refused.name, refused.detail)
        return _page(visit, shortlist_id, refused, "edit")
    return visit.go(f"/shortlists/{shortlist_id}", N_("The shortlist is changed; its links show it as it is now."))


@router.post("/shortlists/{shortlist_id}/links")
def make_link(
    shortlist_id: ShortlistId, visit: Annotated[Visit, Depends(visiting(Resource.SHORTLIST, Action.SHARE))]
) -> Response:
    """Make a link and show its address, this once."""
    given = visit.values("language", "days")

    def work() -> Any:
        return visit.reply(make_shortlist_link, shortlist_id=shortlist_id, body=visit.body(LinkBody, given))

    made = visit.attempt(work)
    if isinstance(made, Refusal):
        if made.status == 404:
            raise ProblemError(404, made.name, made.detail)
        return _page(visit, shortlist_id, made, "link")
    return _page(visit, shortlist_id, new_path=made.secret.get("path", ""))


@router.post("/shortlists/{shortlist_id}/links/{link_id}/end")
def end_link(
    shortlist_id: ShortlistId,
    link_id: LinkId,
    visit: Annotated[Visit, Depends(visiting(Resource.SHORTLIST, Action.END))],
) -> Response:
    """Take a link back."""
    visit.document(end_shortlist_link, shortlist_id=shortlist_id, link_id=link_id)
    return visit.go(f"/shortlists/{shortlist_id}#links", N_("The link is taken back: it opens nothing any more."))
