"""An ODS spreadsheet, written row by row.

In: the titles of sheets, then rows of texts and numbers. Out: a workbook in a file. It exists because public offices
must offer OpenDocument, and because odfdo holds a whole workbook in memory: 20,000 labs would not fit beside a server.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import IO
from xml.sax.saxutils import escape, quoteattr

from indexer.wording import T_

_CHUNK_BYTES = 2**18
_IN_MEMORY_BYTES = 2**20
_MIME = "application/vnd.oasis.opendocument.spreadsheet"
_OASIS = "urn:oasis:names:tc:opendocument:xmlns"
_NAMESPACES = " ".join(
    f'xmlns:{prefix}="{_OASIS}:{name}:1.0"'
    for prefix, name in {
        "office": "office",
        "style": "style",
        "text": "text",
        "table": "table",
        "fo": "xsl-fo-compatible",
        "number": "datastyle",
    }.items()
)
_BEGIN = (
    f'<?xml version="1.0" encoding="UTF-8"?><office:document-content {_NAMESPACES} office:version="1.3">'
    "<office:automatic-styles>"
    '<style:style style:name="column" style:family="table-column">'
    '<style:table-column-properties style:column-width="4.5cm"/></style:style>'
    '<number:text-style style:name="as-text"><number:text-content/></number:text-style>'
    '<style:style style:name="heading" style:family="table-cell" style:data-style-name="as-text">'
    '<style:text-properties fo:font-weight="bold"/></style:style>'
    '<style:style style:name="text" style:family="table-cell" style:data-style-name="as-text">'
    '<style:table-cell-properties fo:wrap-option="wrap" style:vertical-align="top"/></style:style>'
    "</office:automatic-styles><office:body><office:spreadsheet>"
)
_END = "</office:spreadsheet></office:body></office:document-content>"
_MANIFEST = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    f'<manifest:manifest xmlns:manifest="{_OASIS}:manifest:1.0" manifest:version="1.3">'
    f'<manifest:file-entry manifest:full-path="/" manifest:version="1.3" manifest:media-type="{_MIME}"/>'
    '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>'
)
_BLANKS = re.compile(r"^ +|(?<= ) +| +$|\t")
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that no XML document may hold."""


class NotXmlError(ValueError):
    """A text holds a character that XML can't; the message says which."""


def xml_text(text: str) -> str:
    """Return a text as it stands in XML.

    Raises:
        NotXmlError: it holds what XML can't.
    """
    if found := NOT_XML.search(text):
        code = f"U+{ord(found[0]):04X}"
        raise NotXmlError(T_("a text holds the character %(code)s, which this format can't; take jsonl", code=code))
    return escape(text)


class OpenDocumentBook:
    """A workbook on its way: rows wait in files without a name until the book is saved."""

    def __init__(self, titles: Sequence[str]) -> None:
        self._stack = ExitStack()
        self._titles = titles
        self._parts: list[IO[bytes]] = [
            self._stack.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES))  # noqa: SIM115 - the stack does
            for _ in titles
        ]
        self._widths = [1] * len(titles)

    def append(self, sheet: int, cells: Iterable[str | int | float | None], *, heading: bool = False) -> None:
        """Add a row to a sheet, counted from 0.

        Raises:
            NotXmlError: a text holds what XML can't.
        """
        written = [_cell(cell, "heading" if heading else "text") for cell in cells]
        self._widths[sheet] = max(self._widths[sheet], len(written))
        self._parts[sheet].write(f"<table:table-row>{''.join(written)}</table:table-row>".encode())

    def save(self, file: IO[bytes]) -> None:
        """Write the book and forget its rows."""
        with self._stack, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            # Uncompressed and first, so that a program tells the kind of file by its beginning.
            archive.writestr("mimetype", _MIME, zipfile.ZIP_STORED)
            archive.writestr("META-INF/manifest.xml", _MANIFEST)
            with archive.open("content.xml", "w", force_zip64=True) as content:
                content.write(_BEGIN.encode())
                for title, part, width in zip(self._titles, self._parts, self._widths, strict=True):
                    columns = f'<table:table-column table:style-name="column" table:number-columns-repeated="{width}"/>'
                    content.write(f"<table:table table:name={quoteattr(title)}>{columns}".encode())
                    part.seek(0)
                    while chunk := part.read(_CHUNK_BYTES):
                        content.write(chunk)
                    content.write(b"</table:table>")
                content.write(_END.encode())

    def drop(self) -> None:
        """Forget the rows without saving."""
        self._stack.close()


def _cell(value: str | int | float | None, style: str) -> str:
    if value is None or value == "":
        return "<table:table-cell/>"
    if not isinstance(value, str):
        said = repr(value)
        return (
            f'<table:table-cell office:value-type="float" office:value="{said}"><text:p>{said}</text:p>'
            "</table:table-cell>"
        )
    lines = "".join(f"<text:p>{_BLANKS.sub(_blank, xml_text(line))}</text:p>" for line in value.split("\n"))
    return f'<table:table-cell table:style-name="{style}" office:value-type="string">{lines}</table:table-cell>'


def _blank(found: re.Match[str]) -> str:
    # In a paragraph of ODF blanks at either end and repeated ones are layout.
    return "<text:tab/>" if found[0] == "\t" else f'<text:s text:c="{len(found[0])}"/>'
