"""Pictures that stand beside names: an alliance's logo, a lab's photo; drawn anew from whatever was sent.

In: the bytes of a PNG, JPEG or SVG that somebody sent. Out: a PNG of ours, not larger than a page needs, stored once
for each alliance or lab; and later the same bytes. It exists because a file that somebody sends is shown to others: it
may carry where a photo was taken, a script, an address that tells who looks, or more points than a machine has memory
for. So nothing of the file is kept: it is measured before it is drawn, and what is stored is the drawing.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from datetime import datetime
from enum import StrEnum
from functools import cache
from html import escape

from lxml import etree
from sqlalchemy import CheckConstraint, Column, LargeBinary
from sqlmodel import Field, Session, SQLModel, col, select

from indexer.instants import Instant
from indexer.wording import T_
from matcher.ledger.rendering.typesetting import redrawn
from matcher.review import people  # noqa: F401 (its table is referred to)

MAX_SENT_BYTES = 2 * 2**20
MAX_SVG_BYTES = 200_000
_MOST_POINTS = 40_000_000
_MOST_SIDE = 12_000
_MOST_ELEMENTS = 3_000
_SHAPES = frozenset(
    {
        *("svg", "g", "path", "line", "rect", "circle", "ellipse", "polygon", "polyline", "symbol", "title", "desc"),
        *("defs", "clipPath", "mask", "linearGradient", "radialGradient", "stop", "metadata", "style"),
    }
)


class PictureError(ValueError):
    """It is no picture that can be taken; the message says what would be right."""

    field = "picture"


class Owner(StrEnum):
    """Whose picture it is."""

    ALLIANCE = "alliance"
    LAB = "lab"


class Picture(SQLModel, table=True):
    """One picture, as PNG."""

    __tablename__ = "picture"
    __table_args__ = (CheckConstraint("owner IN ('alliance', 'lab')", name="owner_known"),)

    owner: str = Field(primary_key=True)
    owner_id: str = Field(primary_key=True)
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    put_by: str = Field(foreign_key="account.id")
    put_at: datetime = Field(sa_type=Instant)


def drawn_from(sent: bytes) -> bytes:
    """Return a PNG drawn from a picture that somebody sent.

    Raises:
        PictureError: it is too large, damaged, no picture, or an SVG that does more than draw shapes.
    """
    if not sent:
        raise PictureError(T_("choose a file: PNG, JPEG or SVG"))
    if len(sent) > MAX_SENT_BYTES:
        raise PictureError(T_("at most %(most)s MB", most=MAX_SENT_BYTES // 2**20))
    kind = _kind_of(sent)
    if kind == "svg":
        _check_svg(sent)
    else:
        width, height = _size_of(sent, kind)
        if not (0 < width <= _MOST_SIDE and 0 < height <= _MOST_SIDE and width * height <= _MOST_POINTS):
            raise PictureError(T_("at most %(most)s points on a side, 40 million in all", most=_MOST_SIDE))
    try:
        drawing = redrawn(sent, kind)
    except ValueError as error:
        raise PictureError(T_("the file is damaged: it can't be drawn")) from error
    # What can't be read is drawn as nothing at all.
    if drawing == _nothing():
        raise PictureError(T_("the file is damaged: it can't be drawn"))
    return drawing


@cache
def _nothing() -> bytes:
    return redrawn(b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" width="9" height="9"/>', "svg")


def _kind_of(sent: bytes) -> str:
    if sent.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if sent.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if sent.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<?xml", b"<svg", b"<!--")):
        return "svg"
    raise PictureError(T_("this is no PNG, JPEG or SVG"))


def _size_of(sent: bytes, kind: str) -> tuple[int, int]:
    try:
        if kind == "png":
            return struct.unpack(">II", sent[16:24])
        return next(_frames(sent))
    except (struct.error, StopIteration, IndexError) as error:
        raise PictureError(T_("the file is damaged: it can't be drawn")) from error


def _frames(sent: bytes) -> Iterator[tuple[int, int]]:
    """Yield the size that each frame of a JPEG gives."""
    at = 2
    while sent[at] == 0xFF:
        marker, length = sent[at + 1], struct.unpack(">H", sent[at + 2 : at + 4])[0]
        # SOF0 to SOF15, but for the tables and the extensions that stand among them.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", sent[at + 5 : at + 9])
            yield width, height
        at += 2 + length


def _check_svg(sent: bytes) -> None:
    if len(sent) > MAX_SVG_BYTES:
        raise PictureError(T_("an SVG of at most %(most)s KB", most=MAX_SVG_BYTES // 1_000))
    only_shapes = T_("an SVG of shapes only (letters as outlines): no script, no picture inside, no filter, no address")
    if b"<!DOCTYPE" in sent or b"<!ENTITY" in sent:
        raise PictureError(only_shapes)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(sent, parser)
    except etree.XMLSyntaxError as error:
        raise PictureError(T_("the file is damaged: it can't be drawn")) from error
    elements = [one for one in root.iter() if isinstance(one.tag, str)]
    if len(elements) > _MOST_ELEMENTS:
        raise PictureError(T_("an SVG of at most %(most)s elements", most=_MOST_ELEMENTS))
    for one in elements:
        name = etree.QName(one).localname
        is_drawn = etree.QName(one).namespace == "http://www.w3.org/2000/svg"
        said = [*one.attrib.values(), one.text or "" if name == "style" else ""]
        leads_out = any("url(" in value.replace("url(#", "") or "@import" in value for value in said)
        points = [value for key, value in one.attrib.items() if key.rpartition("}")[2] == "href"]
        if (is_drawn and name not in _SHAPES) or leads_out or any(not value.startswith("#") for value in points):
            raise PictureError(only_shapes)


def put_picture(session: Session, *, owner: Owner, owner_id: str, content: bytes, by: str, now: datetime) -> None:
    """Store a picture as `drawn_from` gives it, in the place of an earlier one."""
    row = session.get(Picture, (owner.value, owner_id))
    if row is None:
        session.add(Picture(owner=owner.value, owner_id=owner_id, content=content, put_by=by, put_at=now))
    else:
        row.content, row.put_by, row.put_at = content, by, now
        session.add(row)
    session.flush()


def remove_picture(session: Session, *, owner: Owner, owner_id: str) -> None:
    """Take a picture away; to do so twice changes nothing."""
    row = session.get(Picture, (owner.value, owner_id))
    if row is not None:
        session.delete(row)
        session.flush()


def picture_of(session: Session, owner: Owner, owner_id: str) -> bytes:
    """Return a picture as PNG, b"" if there is none."""
    row = session.get(Picture, (owner.value, owner_id))
    return b"" if row is None else row.content


def pictures_of(session: Session, owner: Owner, ids: Collection[str]) -> dict[str, bytes]:
    """Return the pictures of several, by id, of those that have one."""
    query = select(Picture.owner_id, Picture.content).where(
        Picture.owner == owner.value, col(Picture.owner_id).in_(list(ids))
    )
    return dict(session.exec(query).all())


def letters(initials: str) -> bytes:
    """Return what stands in the place of a picture, as SVG: the first letters of a name."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96" width="96" height="96">'
        '<rect width="96" height="96" rx="8" fill="#0b4f6c"/>'
        '<text x="48" y="49" fill="#fff" font-size="44" font-family="Noto Sans TC, Microsoft JhengHei, sans-serif" '
        f'text-anchor="middle" dominant-baseline="central">{escape(initials)}</text></svg>'
    ).encode()
