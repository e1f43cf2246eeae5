"""Shortlists and dossiers as handouts and as documents: what is read of the database for each of them.

In: a shortlist or a lab, who asks, whether the need may be named. Out: the handout that every format is made of, and
the documents that the API answers. It exists as the one place where what leaves the house is put together: a need's
words get in only where the shortlist says so, and by a public link only if the need is public.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import ColumnElement, and_, exists
from sqlmodel import Session, col, select

from api.access.policy import Action, Resource
from api.access.visibility import labs as visible_labs
from api.access.visibility import needs as visible_needs
from api.documents.answers import Answer
from api.documents.bodies import Whole
from api.requests.problems import not_found
from api.trail.request_trail import NeedReader
from indexer.instants import day_in_taipei
from indexer.plain_text import clean
from indexer.records.record_tables import Alliance, Ask, Company, Evidence, Lab, Need, School
from indexer.vocabulary import Confidentiality
from indexer.wording import T_, Text, either
from matcher.handouts.handout import Handout
from matcher.handouts.lab_sections import ShownLab, fitting_section, profile_section
from matcher.handouts.pictures import Owner, picture_of, pictures_of
from matcher.handouts.shortlists import MOST_DAYS, MOST_LABS, MOST_WORDS, Shortlist, ShortlistedLab, ShortlistLink
from matcher.handouts.shortlists import labs_of as chosen_of
from matcher.ledger.rendering.report_texts import ReportLanguage, day
from matcher.review.people import Account, Principal
from matcher.review.proposals import Proposal
from matcher.review.roles import STAFF

_MOST_TITLE = 120


class HandoutFormat(StrEnum):
    """What kind of file; the value is the end of its name."""

    PDF = "pdf"
    DOCX = "docx"
    EML = "eml"


MEDIA_TYPES = {
    HandoutFormat.PDF: "application/pdf",
    HandoutFormat.DOCX: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    HandoutFormat.EML: "message/rfc822",
}


def _cleaned(value: Any) -> Any:
    return clean(value, max_chars=MOST_WORDS, multiline=True) if isinstance(value, str) else value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Words = Annotated[str, BeforeValidator(_cleaned), Field(description="Your own words on top, a blank line between.")]
LabIds = Annotated[
    list[Annotated[str, Field(max_length=200)]],
    BeforeValidator(_listed),
    Field(max_length=MOST_LABS, description="Labs that were ranked for the need, in the order of the shortlist."),
]
NamesNeed = Annotated[
    bool, Field(description="Whether it may repeat the need's words; by a link only of public needs.")
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NewShortlistBody(_Body):
    """A new shortlist."""

    labs: LabIds = Field(examples=[["lab-1-01", "lab-1-02"]])
    words: Words = ""
    names_need: NamesNeed | None = None


class ShortlistBody(_Body):
    """What is changed of a shortlist; what is left out stays."""

    labs: LabIds | None = None
    words: Words | None = None
    names_need: NamesNeed | None = None


class LinkBody(_Body):
    """A link that opens a shortlist for some days."""

    language: ReportLanguage = ReportLanguage.ZH
    days: Whole = Field(default=14, ge=1, le=MOST_DAYS)


class LinkAnswer(Answer):
    """A link; its address is told once, to who made it."""

    id: int
    language: ReportLanguage
    made_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    is_open: bool
    opened: int
    last_opened_at: datetime | None


class NewLinkAnswer(LinkAnswer):
    """A link just made. `path` holds the secret: it is not told again."""

    path: str | None = Field(description="Null where the request was sent before: make another link then.")


class ShortlistAnswer(Answer):
    """A shortlist as it stands."""

    id: int
    need_id: str
    alliance: str
    words: str
    names_need: bool
    names_need_by_link: bool
    made_by: str
    made_at: datetime
    changed_at: datetime
    labs: list[str]
    links: list[LinkAnswer]


def visible(who: Principal, action: Action) -> ColumnElement[bool]:
    """Return the condition on `Shortlist` joined with `Need`: the own alliance's, of needs and labs without a stake."""
    companies = [party_id for party, party_id in who.stakes if party == "company"]
    labs = [party_id for party, party_id in who.stakes if party == "lab"]
    clear: list[ColumnElement[bool]] = [
        visible_needs(who, action, Resource.SHORTLIST),
        col(Shortlist.alliance_id).in_(who.scopes(*STAFF)),
    ]
    if companies:
        clear.append(col(Need.company).is_(None) | col(Need.company).not_in(companies))
    if labs:
        on_it = select(ShortlistedLab).where(
            ShortlistedLab.shortlist_id == Shortlist.id, col(ShortlistedLab.lab_id).in_(labs)
        )
        clear.append(~exists(on_it.correlate(Shortlist)))
    return and_(*clear)


def find_shortlist(session: Session, who: Principal, shortlist_id: int, action: Action) -> Shortlist:
    """Return a shortlist that a person may do this with.

    Raises:
        ProblemError: 404, whether it does not exist or is not theirs.
    """
    query = select(Shortlist).join(Need, col(Need.id) == Shortlist.need_id)
    found = session.exec(query.where(Shortlist.id == shortlist_id, visible(who, action))).first()
    if found is None:
        raise not_found("shortlist")
    return found


def link_document(link: ShortlistLink, now: datetime) -> dict[str, Any]:
    """Return a link, without what opens it."""
    said = link.model_dump(mode="json", exclude={"digest", "shortlist_id", "made_by", "revoked_by"})
    return {**said, "is_open": link.is_open(now)}


def names_by_link(shortlist: Shortlist, need: Need) -> bool:
    """Whether a public link may repeat the need's words: who has a link may pass it on."""
    return shortlist.names_need and need.confidentiality == Confidentiality.PUBLIC.value


def handout_of(session: Session, shortlist: Shortlist, *, names_need: bool, to: NeedReader) -> Handout:
    """Return what a shortlist says now: labs' records as they stand, explained as they were when they were chosen.

    Args:
        session: reads.
        shortlist: which one.
        names_need: whether the need's words may be repeated.
        to: whoever is shown it.
    """
    need = session.get_one(Need, shortlist.need_id)
    to.reads(need.id, withheld=not names_need)
    chosen = chosen_of(session, shortlist.id or 0)
    proposals = {
        one.id: one.explanation
        for one in session.exec(select(Proposal).where(col(Proposal.id).in_([one.proposal_id for one in chosen])))
    }
    asks = session.exec(select(Ask).where(Ask.need_id == need.id).order_by(col(Ask.position))).all()
    shown = shown_labs(session, [one.lab_id for one in chosen])
    sections = [
        fitting_section(shown[one.lab_id], proposals[one.proposal_id], asks, names_need=names_need)
        for one in chosen
        if one.lab_id in shown
    ]
    title = T_("Labs for your request")
    if names_need and need.title:
        title = T_("Labs for: %(title)s", title=need.title[:_MOST_TITLE])
    alliance = session.get_one(Alliance, shortlist.alliance_id)
    author = session.get_one(Account, shortlist.made_by)
    company = session.get(Company, need.company) if need.company else None
    about = either("", "")
    if company is not None and names_need:
        about = T_("For %(company)s", company=either(company.name, company.name_en or company.name))
    called = either(alliance.name, alliance.name_en or alliance.name)
    return Handout(
        title=title,
        issuer=called,
        made_on=_on(shortlist.changed_at),
        sections=tuple(sections),
        about=about,
        words=tuple(one.strip() for one in shortlist.words.split("\n\n") if one.strip()),
        contact=(
            T_(
                "Your liaison: %(name)s, %(alliance)s, %(reached)s",
                name=author.name,
                alliance=called,
                reached=", ".join(filter(None, (author.email, author.phone))),
            ),
        ),
        logo=picture_of(session, Owner.ALLIANCE, alliance.id),
        notes=(T_("Chosen by the liaison by hand. Every contact with a lab goes through the liaison."),),
    )


def dossier_of(session: Session, who: Principal, lab_id: str, now: datetime) -> Handout:
    """Return the dossier of a lab that a person may read.

    Raises:
        ProblemError: 404, there is no such lab, or not for this person.
    """
    if session.exec(select(Lab.id).where(Lab.id == lab_id, visible_labs(who, Action.READ))).first() is None:
        raise not_found("lab")
    alliances = sorted(who.scopes(*STAFF))
    alliance = session.get(Alliance, alliances[0]) if len(alliances) == 1 else None
    return lab_dossier(session, lab_id, alliance, now)


def lab_dossier(session: Session, lab_id: str, alliance: Alliance | None, now: datetime) -> Handout:
    """Return the dossier of a lab that exists, issued by an alliance or, without one, by the lab's school."""
    shown = shown_labs(session, [lab_id])[lab_id]
    section = profile_section(shown)
    return Handout(
        title=T_("Portrait of a lab"),
        issuer=section.school if alliance is None else either(alliance.name, alliance.name_en or alliance.name),
        made_on=_on(now),
        sections=(section,),
        logo=b"" if alliance is None else picture_of(session, Owner.ALLIANCE, alliance.id),
        notes=(T_("As the lab describes itself. To cooperate, ask the liaison of your alliance."),),
    )


def shown_labs(session: Session, ids: list[str]) -> dict[str, ShownLab]:
    """Return labs with their schools, pictures and the evidence that stands for them, by id."""
    rows = session.exec(
        select(Lab, School).join(School, col(School.id) == col(Lab.school), isouter=True).where(col(Lab.id).in_(ids))
    ).all()
    works: dict[str, list[Evidence]] = {lab.id: [] for lab, _ in rows}
    query = select(Evidence).where(col(Evidence.lab_id).in_(ids), Evidence.weight > 0)
    for one in session.exec(query.order_by(col(Evidence.lab_id), col(Evidence.position))).all():
        works[one.lab_id].append(one)
    portraits = pictures_of(session, Owner.LAB, ids)
    return {lab.id: ShownLab(lab, school, tuple(works[lab.id]), portraits.get(lab.id, b"")) for lab, school in rows}


def _on(moment: datetime) -> Text:
    at = day_in_taipei(moment)
    return either(
        f"民國{at.year - 1911}年{at.month}月{at.day}日" if at.year > 1911 else day(at, ReportLanguage.ZH),
        f"{at.day} {at:%B %Y}",
    )
