"""Shortlists: the labs that an expert puts before a company, with words of the expert's own, and links that show them.

In: a need, labs that were ranked for it, words; for a link how long it holds. Out: a shortlist as it stands, and links
that open it for whoever has their secret, until they expire or are taken back. It exists because the conversation with
a company happens outside: what leaves is chosen lab by lab by a person, is dated and signed by name, and a link can be
taken back where a file can't. Of a link's secret only a hash is stored, so that the database opens nothing. Openings
are counted and nothing of who opened is kept. A lab must have been ranked for the need, since only then the need's
own rules let it through and there is something to show for it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import CheckConstraint, UniqueConstraint, func, update
from sqlmodel import Field, Session, SQLModel, col, delete, select

from indexer.instants import Instant
from indexer.wording import T_
from matcher.ledger.rendering.report_texts import ReportLanguage
from matcher.review import people  # noqa: F401 (its table is referred to)
from matcher.review.proposals import PairingState, Proposal, StoredPairing

MOST_LABS = 12
MOST_WORDS = 3_000
MOST_LINKS = 20
"""Links of one shortlist that are open at a time."""
MOST_DAYS = 180
_SECRET_BYTES = 24


class ShortlistError(ValueError):
    """A shortlist can't be made that way; `field` is to blame."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Shortlist(SQLModel, table=True):
    """What one alliance puts before the company of a need. `names_need`: whether it may repeat what the need says."""

    __tablename__ = "shortlist"
    __table_args__ = (CheckConstraint(f"length(words) <= {MOST_WORDS}", name="words_bounded"),)

    id: int | None = Field(default=None, primary_key=True)
    need_id: str = Field(foreign_key="need.id", index=True)
    alliance_id: str = Field(foreign_key="alliance.id")
    words: str
    names_need: bool
    made_by: str = Field(foreign_key="account.id")
    made_at: datetime = Field(sa_type=Instant)
    changed_at: datetime = Field(sa_type=Instant)


class ShortlistedLab(SQLModel, table=True):
    """One lab of a shortlist, in the expert's order, with how it was explained when it was chosen."""

    __tablename__ = "shortlisted_lab"
    __table_args__ = (UniqueConstraint("shortlist_id", "lab_id", name="each_once"),)

    shortlist_id: int = Field(foreign_key="shortlist.id", primary_key=True)
    position: int = Field(primary_key=True)
    lab_id: str = Field(foreign_key="lab.id")
    proposal_id: int = Field(foreign_key="proposal.id")


class ShortlistLink(SQLModel, table=True):
    """A link to a shortlist, in a language of its own. Never deleted: who let whom look until when stays on record."""

    __tablename__ = "shortlist_link"
    __table_args__ = (
        CheckConstraint("length(digest) = 64", name="hash_only"),
        CheckConstraint("language IN ('zh', 'en', 'both')", name="language_known"),
        CheckConstraint("expires_at > made_at", name="expires_later"),
        CheckConstraint("(revoked_at IS NULL) = (revoked_by IS NULL)", name="revoked_by_somebody"),
        CheckConstraint("opened >= 0", name="opened_counted"),
    )

    id: int | None = Field(default=None, primary_key=True)
    shortlist_id: int = Field(foreign_key="shortlist.id", index=True)
    digest: str = Field(unique=True)
    language: str
    made_by: str = Field(foreign_key="account.id")
    made_at: datetime = Field(sa_type=Instant)
    expires_at: datetime = Field(sa_type=Instant)
    revoked_at: datetime | None = Field(default=None, sa_type=Instant)
    revoked_by: str | None = Field(default=None, foreign_key="account.id")
    opened: int = 0
    last_opened_at: datetime | None = Field(default=None, sa_type=Instant)

    def is_open(self, now: datetime) -> bool:
        """Whether it still shows the shortlist."""
        return self.revoked_at is None and now < self.expires_at


@dataclass(frozen=True)
class ChosenLab:
    """A lab of a shortlist and how it was explained."""

    lab_id: str
    proposal_id: int


def make_shortlist(
    session: Session,
    *,
    need_id: str,
    alliance_id: str,
    labs: Sequence[str],
    words: str,
    names_need: bool,
    by: str,
    now: datetime,
) -> Shortlist:
    """Put labs on a new shortlist, in their order.

    Raises:
        ShortlistError: there are none or too many, or one was not ranked for the need, or was rejected.
    """
    chosen = _chosen(session, need_id, labs)
    made = Shortlist(
        need_id=need_id,
        alliance_id=alliance_id,
        words=_bounded(words),
        names_need=names_need,
        made_by=by,
        made_at=now,
        changed_at=now,
    )
    session.add(made)
    session.flush()
    _put(session, made, chosen)
    return made


def change_shortlist(
    session: Session,
    *,
    shortlist: Shortlist,
    labs: Sequence[str] | None = None,
    words: str | None = None,
    names_need: bool | None = None,
    now: datetime,
) -> None:
    """Change what a shortlist says; its links show it as it is from now on.

    Raises:
        ShortlistError: as `make_shortlist`.
    """
    if labs is not None:
        chosen = _chosen(session, shortlist.need_id, labs)
        session.connection().execute(delete(ShortlistedLab).where(col(ShortlistedLab.shortlist_id) == shortlist.id))
        _put(session, shortlist, chosen)
    if words is not None:
        shortlist.words = _bounded(words)
    if names_need is not None:
        shortlist.names_need = names_need
    shortlist.changed_at = now
    session.add(shortlist)
    session.flush()


def labs_of(session: Session, shortlist_id: int) -> list[ShortlistedLab]:
    """Return the labs of a shortlist in their order."""
    query = select(ShortlistedLab).where(ShortlistedLab.shortlist_id == shortlist_id)
    return list(session.exec(query.order_by(col(ShortlistedLab.position))).all())


def _bounded(words: str) -> str:
    if len(words) > MOST_WORDS:
        raise ShortlistError(T_("at most %(most)s characters", most=MOST_WORDS), "words")
    return words.strip()


def _put(session: Session, shortlist: Shortlist, chosen: Sequence[ChosenLab]) -> None:
    for position, one in enumerate(chosen):
        row = ShortlistedLab(
            shortlist_id=shortlist.id or 0, position=position, lab_id=one.lab_id, proposal_id=one.proposal_id
        )
        session.add(row)
    session.flush()


def _chosen(session: Session, need_id: str, labs: Sequence[str]) -> list[ChosenLab]:
    wanted = list(dict.fromkeys(labs))
    if not wanted:
        raise ShortlistError(T_("choose at least one lab"), "labs")
    if len(wanted) > MOST_LABS:
        raise ShortlistError(T_("choose at most %(most)s labs", most=MOST_LABS), "labs")
    query = (
        select(StoredPairing.lab_id, StoredPairing.state, func.max(Proposal.id))
        .join(Proposal, col(Proposal.pairing_id) == StoredPairing.id)
        .where(StoredPairing.need_id == need_id, col(StoredPairing.lab_id).in_(wanted))
        .group_by(col(StoredPairing.lab_id), col(StoredPairing.state))
    )
    ranked = {lab_id: (state, proposal_id) for lab_id, state, proposal_id in session.exec(query).all()}
    for lab_id in wanted:
        if lab_id not in ranked:
            raise ShortlistError(T_("a lab was not ranked for this need: look at the ranking first"), "labs")
        if ranked[lab_id][0] == PairingState.REJECTED:
            raise ShortlistError(T_("a lab was rejected for this need: undo that before it is put on a list"), "labs")
    return [ChosenLab(lab_id, ranked[lab_id][1] or 0) for lab_id in wanted]


@dataclass(frozen=True)
class NewLink:
    """A link just made; its secret is known now and never again."""

    link: ShortlistLink
    secret: str


def make_link(
    session: Session, *, shortlist_id: int, language: ReportLanguage, days: int, by: str, now: datetime
) -> NewLink:
    """Make a link that opens a shortlist for some days.

    Raises:
        ShortlistError: it would hold too long, or too many are open.
    """
    if not 1 <= days <= MOST_DAYS:
        raise ShortlistError(T_("give 1 to %(most)s days", most=MOST_DAYS), "days")
    if sum(one.is_open(now) for one in links_of(session, shortlist_id)) >= MOST_LINKS:
        raise ShortlistError(T_("%(most)s links are open: take one back first", most=MOST_LINKS))
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    link = ShortlistLink(
        shortlist_id=shortlist_id,
        digest=_digest(secret),
        language=language.value,
        made_by=by,
        made_at=now,
        expires_at=now + timedelta(days=days),
    )
    session.add(link)
    session.flush()
    return NewLink(link, secret)


def links_of(session: Session, shortlist_id: int) -> list[ShortlistLink]:
    """Return the links of a shortlist, the newest first."""
    query = select(ShortlistLink).where(ShortlistLink.shortlist_id == shortlist_id)
    return list(session.exec(query.order_by(col(ShortlistLink.id).desc())).all())


def revoke_link(session: Session, *, link: ShortlistLink, by: str, now: datetime) -> None:
    """Take a link back; to do so twice changes nothing."""
    if link.revoked_at is None:
        link.revoked_at, link.revoked_by = now, by
        session.add(link)
        session.flush()


def link_of(session: Session, secret: str, now: datetime) -> ShortlistLink | None:
    """Return the open link that has a secret; None for one that expired, was taken back or never was."""
    found = session.exec(select(ShortlistLink).where(ShortlistLink.digest == _digest(secret))).first()
    return found if found is not None and found.is_open(now) else None


def note_opening(session: Session, link_id: int, now: datetime) -> None:
    """Count that a link was opened."""
    session.connection().execute(
        update(ShortlistLink)
        .where(col(ShortlistLink.id) == link_id)
        .values(opened=ShortlistLink.opened + 1, last_opened_at=now)
    )


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
