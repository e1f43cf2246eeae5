"""Mail that its reader stops by the link in it, without signing in, and takes back again.

In: the token of a letter. Out: what it stops: a kind, all of a cadence, or for somebody without an account everything.
It exists because whoever wants no more mail must not need a password for it (RFC 8058). Forwarded, the link lets
somebody else stop mail and begin it again: it shows nothing and opens nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from api.letters.sending.composing import UNSUBSCRIBE
from api.letters.signed_links import LinkError, LinkSigner
from indexer.wording import T_, Text
from matcher.notices.kinds import KINDS, Cadence, NoticeKind
from matcher.notices.readers import MailAddress, NoticeChoice, choose
from matcher.review.people import Account


@dataclass(frozen=True)
class Stop:
    """Which mail of whom; `kind` None: all that is gathered at `cadence`, or everything where nobody can choose."""

    reader: str
    kind: NoticeKind | None
    cadence: Cadence | None

    @property
    def label(self) -> Text:
        """What it is about, in words that name nobody."""
        if "@" in self.reader:
            return T_("all mail of GLORIA Match to this address")
        if self.kind is not None:
            return KINDS[self.kind].label
        return T_("everything that is gathered into this letter")


def stop_of(signer: LinkSigner, token: str, now: datetime) -> Stop:
    """Return what a token stops.

    Raises:
        LinkError: it is none, or too old.
    """
    claims = signer.read(UNSUBSCRIBE, token, now=now)
    try:
        kind, cadence = claims.get("kind"), claims.get("cadence")
        return Stop(
            str(claims["reader"]),
            None if kind is None else NoticeKind(kind),
            None if cadence is None else Cadence(cadence),
        )
    except (KeyError, ValueError) as error:
        raise LinkError from error


def stop_mail(session: Session, stop: Stop, now: datetime) -> None:
    """Stop it."""
    if "@" in stop.reader:
        known = session.get(MailAddress, stop.reader) or MailAddress(address=stop.reader)
        known.unsubscribed_at = known.unsubscribed_at or now
        session.add(known)
        session.flush()
        return
    kinds = [stop.kind] if stop.kind is not None else _gathered(session, stop)
    if session.get(Account, stop.reader) is not None:
        choose(session, account_id=stop.reader, cadences=dict.fromkeys(kinds, Cadence.NEVER))


def _gathered(session: Session, stop: Stop) -> list[NoticeKind]:
    rows = session.exec(select(NoticeChoice).where(NoticeChoice.account_id == stop.reader)).all()
    own = {row.kind: row.cadence for row in rows}
    return [
        kind
        for kind, facts in KINDS.items()
        if not facts.fixed and own.get(kind.value, facts.cadence.value) == stop.cadence
    ]


def begin_again(session: Session, stop: Stop) -> None:
    """Take it back: one kind comes as it does by default, what was gathered at its cadence."""
    if "@" in stop.reader:
        known = session.get(MailAddress, stop.reader)
        if known is not None:
            known.unsubscribed_at = None
            session.add(known)
            session.flush()
        return
    never = (NoticeChoice.account_id == stop.reader, NoticeChoice.cadence == Cadence.NEVER.value)
    rows = session.exec(select(NoticeChoice).where(*never, *_this(stop))).all()
    for row in rows:
        row.cadence = (stop.cadence or KINDS[NoticeKind(row.kind)].cadence).value
        session.add(row)
    session.flush()


def _this(stop: Stop) -> tuple[Any, ...]:
    return () if stop.kind is None else (col(NoticeChoice.kind) == stop.kind.value,)
