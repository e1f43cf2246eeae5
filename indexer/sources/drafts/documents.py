"""The text of what people send: DOCX, PDF, e-mail, plain text.

In: the bytes of a file and its name. Out: one text, paragraphs and rows of tables as lines, of an e-mail first who
sent it, what about and when, then its body and the documents that came with it. It exists because a need comes as a
letter or a form, not as a row. What a small file may unfold into is bounded; pictures of text are told, not read.
"""

from __future__ import annotations

import email
import io
import re
import zipfile
from collections.abc import Iterator
from email.message import EmailMessage, MIMEPart
from email.policy import default as policy
from typing import Any

import ftfy
from lxml import html as lxml_html

from indexer.plain_text import shown
from indexer.wording import T_

MAX_BYTES = 20 * 2**20
MAX_CHARS = 200_000
MAX_PAGES = 60
_MAX_UNZIPPED = 200 * 2**20
_MAX_PARTS = 3_000
_MAX_INSIDE = 10
"""Documents inside one e-mail that are read."""
_ENCODINGS = ("utf-8-sig", "cp950", "utf-16")


class DocumentError(ValueError):
    """A document has no text that can be read; says what it is and what would be right."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(f"{wrong}; {right}")
        self.wrong, self.right = wrong, right


def text_of(data: bytes, name: str) -> str:
    """Return the text of a document.

    Args:
        data: the file; what it is is told by its beginning, and by its name where that says nothing.
        name: the file's.

    Raises:
        DocumentError: it is too large, damaged, locked, of another kind, or has no text.
    """
    if len(data) > MAX_BYTES:
        raise DocumentError(
            T_("is larger than %(mb)s MB", mb=MAX_BYTES // 2**20), T_("take out the pictures, or paste the text")
        )
    text = _tidy("\n".join(_lines(data, name)))
    if not text:
        raise DocumentError(T_("holds no text"), T_("a scanned page is a picture: paste or type what it says"))
    if len(text) > MAX_CHARS:
        raise DocumentError(
            T_("holds more than %(most)s characters", most=f"{MAX_CHARS:,}"), T_("send the part that is about it")
        )
    return text


def _lines(data: bytes, name: str) -> Iterator[str]:
    suffix = name.lower().rpartition(".")[2]
    if data.startswith(b"%PDF-") or suffix == "pdf":
        yield from _pdf(data)
    elif data.startswith(b"PK"):
        yield from _docx(data)
    elif data.startswith(b"\xd0\xcf\x11\xe0"):
        raise DocumentError(
            T_("is a document of Word 97 to 2003, or locked"), T_("save it as .docx without a password")
        )
    elif suffix == "eml" or _MAIL.match(data):
        yield from _mail(data)
    elif suffix in ("html", "htm"):
        yield _of_html(_decoded(data))
    else:
        yield _decoded(data)


_MAIL = re.compile(rb"(?:[A-Za-z][A-Za-z0-9-]{1,60}: [^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*){3}")


def _tidy(text: str) -> str:
    text = ftfy.fix_text(text, normalization=None, fix_character_width=False, uncurl_quotes=False)
    lines = [re.sub(r"[ \t\xa0\u3000]+", " ", line).strip() for line in text.replace("\f", "\n").split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _decoded(data: bytes) -> str:
    for encoding in _ENCODINGS:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise DocumentError(T_("is not a text"), T_("send DOCX, PDF, an e-mail (.eml) or plain text"))


def _docx(data: bytes) -> Iterator[str]:
    import docx
    from docx.table import Table

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > _MAX_PARTS or sum(entry.file_size for entry in entries) > _MAX_UNZIPPED:
                raise DocumentError(
                    T_("unpacks to more than %(mb)s MB", mb=_MAX_UNZIPPED // 2**20), T_("paste the text instead")
                )
        document = docx.Document(io.BytesIO(data))
    except DocumentError:
        raise
    except Exception as error:  # python-docx raises whatever it meets
        raise DocumentError(
            T_("is not a readable DOCX (%(error)s)", error=shown(type(error).__name__)),
            T_("save it again as .docx, or paste the text"),
        ) from None
    for block in document.iter_inner_content():
        if isinstance(block, Table):
            yield from _rows(block)
        else:
            yield block.text


def _rows(table: Any) -> Iterator[str]:
    """Yield a row a line; a form's two cells read as label: value."""
    for row in table.rows:
        cells = list(dict.fromkeys(cell.text.strip() for cell in row.cells if cell.text.strip()))
        if len(cells) == 2 and "\n" not in cells[0] and len(cells[0]) <= 30:
            yield f"{cells[0].rstrip('：:')}：{cells[1]}"
        elif cells:
            yield " | ".join(cells)


def _pdf(data: bytes) -> Iterator[str]:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(io.BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentError(T_("is locked by a password"), T_("save it without, or paste the text"))
        for number, page in enumerate(reader.pages):
            if number >= MAX_PAGES:
                raise DocumentError(
                    T_("has more than %(pages)s pages", pages=MAX_PAGES), T_("send the part that is about it")
                )
            yield page.extract_text()
    except DocumentError:
        raise
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, OSError, RecursionError) as error:
        raise DocumentError(
            T_("is not a readable PDF (%(error)s)", error=shown(type(error).__name__)),
            T_("print it as PDF again, or paste the text"),
        ) from None


def _mail(data: bytes) -> Iterator[str]:
    message = email.message_from_bytes(data, policy=policy)
    for header in ("From", "Subject", "Date"):
        said = _header(message, header)
        if said:
            yield f"{header}: {said}"
    yield ""
    body = message.get_body(preferencelist=("plain", "html"))
    if body is not None:
        content = _content(body)
        yield _of_html(content) if body.get_content_type() == "text/html" else content
    for number, part in enumerate(message.iter_attachments()):
        name = str(part.get_filename() or "")
        if number >= _MAX_INSIDE or not name.lower().endswith((".docx", ".pdf", ".txt")):
            continue
        inside = part.get_payload(decode=True)
        if isinstance(inside, bytes):
            yield ""
            yield from _lines(inside, name)


def _header(message: EmailMessage, name: str) -> str:
    try:
        return str(message[name] or "")
    except (ValueError, IndexError, AttributeError):
        # The library's parser of addresses stumbles over some.
        return str(dict(message.raw_items()).get(name, ""))


def _content(part: MIMEPart) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    said = str(part.get_content_charset() or "")
    try:
        return data.decode(said or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return _decoded(data)


def _of_html(text: str) -> str:
    if not text.strip():
        return ""
    page = lxml_html.fromstring(text)
    for one in page.iter("script", "style", "head"):
        one.text = None
    for one in page.iter("br", "p", "div", "tr", "li", "h1", "h2", "h3"):
        one.tail = f"\n{one.tail or ''}"
    return str(page.text_content())
