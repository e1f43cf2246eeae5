"""Somebody's notices as an Atom feed, for a reader of feeds that knows no passwords.

In: the secret of the feed's address. Out: the feed, or nothing. It exists beside mail for who reads everything in one
place. The address is the proof, so the feed says what a mail says to a stranger: sentences and links, never a text of a
record, and only what its owner may still know of.
"""

from __future__ import annotations

from lxml import etree
from sqlmodel import Session

from api.letters.knowing import knowable
from api.letters.sentences import sentence
from indexer.instants import now
from indexer.settings import Settings
from matcher.notices.outbox import Notice, notices_of
from matcher.notices.readers import feed_owner, reader_of
from matcher.review.people import principal

FEED_TYPE = "application/atom+xml; charset=utf-8"
_ATOM = "http://www.w3.org/2005/Atom"
_MOST = 50


def feed_of(session: Session, secret: str, settings: Settings) -> bytes | None:
    """Return the feed that a secret opens, None if it opens none."""
    account_id = feed_owner(session, secret)
    who = None if account_id is None else principal(session, account_id)
    if account_id is None or who is None:
        return None
    notices = knowable(session, who, notices_of(session, account_id, limit=_MOST))
    made_at = reader_of(session, account_id).feed_made_at
    root = etree.Element("feed", nsmap={None: _ATOM})
    _put(root, "id", settings.address_of(f"/feed/{account_id}"))
    _put(root, "title", "GLORIA Match")
    _put(root, "updated", (notices[0].at if notices else made_at or now()).isoformat())
    author = etree.SubElement(root, "author")
    _put(author, "name", "GLORIA Match")
    etree.SubElement(root, "link", href=settings.address_of("/notices"))
    for notice in notices:
        _entry(root, notice, settings)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="utf-8"))


def _entry(root: etree._Element, notice: Notice, settings: Settings) -> None:
    entry = etree.SubElement(root, "entry")
    _put(entry, "id", settings.address_of(f"/notices/{notice.id}"))
    _put(entry, "title", " / ".join(sentence(notice).both))
    _put(entry, "updated", notice.at.isoformat())
    etree.SubElement(entry, "link", href=settings.address_of(notice.place))
    etree.SubElement(entry, "category", term=notice.kind)


def _put(parent: etree._Element, name: str, said: str) -> None:
    etree.SubElement(parent, name).text = said
