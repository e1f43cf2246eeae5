"""The parts of an XLSX workbook: a ZIP archive of XML files, unpacked and parsed within bounds.

In: the bytes of a file. Out: its parts by name, their elements one after another. It exists because both formats let
a few kilobytes unfold into gigabytes (high ratios, entities, elements without end): what is unpacked is counted as it
comes, and a document type, where entities are defined, is refused before anything of it is read.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NoReturn, Self
from xml.parsers import expat

from indexer.grids import TooMuchError
from indexer.wording import T_

MAX_UNZIPPED_BYTES = 200_000_000
MAX_PARTS = 2_000
MAX_MARKUP = 8_000_000
"""Elements and attributes in all parts that are read."""
_MAX_TOKEN_BYTES = 300_000
"""Of one tag; expat reads a longer one again with each piece of it that comes."""
_CHUNK_BYTES = 2**16
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

Attributes = Mapping[str, str]
Start = Callable[[str, Attributes], None]
"""Called with an element's name without its namespace, and its attributes, those of other namespaces as "NS name"."""


class MarkupError(ValueError):
    """A part holds what no spreadsheet program writes; the message says what."""


class Parts:
    """The parts of a workbook, open for reading."""

    def __init__(self, data: bytes) -> None:
        """Open an archive.

        Raises:
            TooMuchError: it has more parts, or unpacks to more, than may be read.
            zipfile.BadZipFile, OSError, ValueError, NotImplementedError: it isn't one.
        """
        self._archive = zipfile.ZipFile(io.BytesIO(data))
        self._markup = MAX_MARKUP
        entries = self._archive.infolist()
        unzipped = sum(entry.file_size for entry in entries)
        if unzipped > MAX_UNZIPPED_BYTES:
            right = T_(
                "split it into workbooks under %(max_unzipped_bytes)s MB",
                max_unzipped_bytes=f"{MAX_UNZIPPED_BYTES / 1e6:,.0f}",
            )
            raise TooMuchError(T_("unpacks to %(unzipped)s MB", unzipped=f"{unzipped / 1e6:,.0f}"), right)
        if len(entries) > MAX_PARTS:
            raise TooMuchError(
                T_("is packed from %(parts)s files", parts=f"{len(entries):,}"),
                T_("save it again with at most %(max_parts)s", max_parts=f"{MAX_PARTS:,}"),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._archive.close()

    def __contains__(self, name: str) -> bool:
        return name in self._archive.NameToInfo

    def parse(
        self,
        name: str,
        start: Start,
        end: Callable[[str], None] | None = None,
        text: Callable[[str], None] | None = None,
    ) -> None:
        """Parse a part, calling what is given for each element's start and end and for text.

        Raises:
            KeyError: there is no such part.
            TooMuchError: it holds more than may be read.
            MarkupError, expat.ExpatError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError: it can't be read.
        """
        entry = self._archive.getinfo(name)
        if entry.compress_type not in _METHODS:
            raise MarkupError(T_("a part is packed in an unusual way"))
        parser = self._parser(start, end, text)
        fed = 0
        with self._archive.open(entry) as file:
            while chunk := file.read(_CHUNK_BYTES):
                parser.Parse(chunk)
                fed += len(chunk)
                if fed - parser.CurrentByteIndex > _MAX_TOKEN_BYTES:
                    raise MarkupError(T_("a tag is too long"))
        parser.Parse(b"", True)

    def _parser(self, start: Start, end: Callable[[str], None] | None, text: Callable[[str], None] | None) -> Any:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.buffer_size = _CHUNK_BYTES
        parser.StartDoctypeDeclHandler = _refuse_document_type

        def started(name: str, attributes: Attributes) -> None:
            self._markup -= 1 + len(attributes)
            if self._markup < 0:
                raise TooMuchError(
                    T_("holds more than %(max_markup)s elements", max_markup=f"{MAX_MARKUP:,}"),
                    T_("split it into smaller workbooks"),
                )
            start(name[name.rfind(" ") + 1 :], attributes)

        parser.StartElementHandler = started
        if end is not None:
            parser.EndElementHandler = lambda name: end(name[name.rfind(" ") + 1 :])
        parser.CharacterDataHandler = text
        return parser


def _refuse_document_type(*_: object) -> NoReturn:
    raise MarkupError(T_("a part defines a document type"))
