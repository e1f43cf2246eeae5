"""What a foreign file says, before it is anybody's record here.

In: nothing. Out: the values that every reader of a source gives back: records of the exchange format (`Found`), works
with their authors (`Work`), and problems by place. It exists because a register knows a work by its authors and not by
a lab: whose evidence it is can only be told beside the stored labs (`indexer.sources.bringing_in`), the same way for
every source.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from lxml import etree

from indexer.plain_text import shown
from indexer.records.exchange import RowProblem
from indexer.records.values import FieldError, doi, is_blank, orcid, ror
from indexer.vocabulary import EvidenceKind, Kind
from indexer.wording import T_


def own_scheme(kind: str) -> str:
    """Return what says of an identifier that it is a record's id here: of a `lab`, `school` or piece of `evidence`."""
    return f"urn:gloria:{kind}"


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote a work, as its register names them; `key` is the id that the register's lab has here."""

    name: str
    orcid: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """A paper, patent, thesis or project: evidence in the exchange format, and its authors."""

    row: int
    evidence: Mapping[str, Any]
    authors: tuple[Author, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A record in the exchange format; a value that the source does not know is left out."""

    row: int
    kind: Kind
    values: Mapping[str, Any]


@dataclass
class Findings:
    """All that one file says; `entries` counts what it has, taken or not, so that nothing is left out silently.

    `owners` names authors of works by the work's id, where a register keeps who took part in another file.
    """

    file: str
    entries: int = 0
    records: list[Found] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)
    owners: dict[str, list[Author]] = field(default_factory=dict)
    problems: list[RowProblem] = field(default_factory=list)

    def record(self, row: int, kind: Kind, values: Mapping[str, Any]) -> None:
        """Take a record; its blank values are left out. One without a name or title is told as a problem."""
        if is_blank(values.get("name")) and is_blank(values.get("title")):
            self.refuse(row, "name", T_("has no name"), T_("give the file as it was downloaded"))
            return
        self.records.append(Found(row, kind, {key: value for key, value in values.items() if _says(value)}))

    def work(self, row: int, authors: Iterable[Author], **evidence: Any) -> None:
        """Take a work; one that says nothing is told as a problem."""
        if is_blank(evidence.get("title")) and is_blank(evidence.get("abstract")):
            self.refuse(row, "title", T_("has no title"), T_("add one; a work without a title says nothing"))
            return
        said = {key: value for key, value in evidence.items() if _says(value)}
        self.works.append(Work(row, said, tuple(authors)))

    def refuse(self, row: int, name: str, wrong: str, right: str) -> None:
        """Say that an entry could not be taken."""
        self.problems.append(RowProblem(self.file, row, name, wrong, right))

    def identified(self, row: int, name: str, read: Callable[[object], str], value: object) -> str | None:
        """Return an identifier if there is a right one; a wrong one costs itself, never the record."""
        if is_blank(value):
            return None
        try:
            return read(value)
        except FieldError as error:
            self.problems.append(RowProblem(self.file, row, name, error.wrong, error.right, "warning"))
            return None

    def orcid(self, row: int, value: object) -> str | None:
        """Return an ORCID iD, or None and a warning."""
        return self.identified(row, "orcid", orcid, value)

    def doi(self, row: int, value: object) -> str | None:
        """Return a DOI, or None and a warning."""
        return self.identified(row, "doi", doi, value)

    def ror(self, row: int, value: object) -> str | None:
        """Return a ROR id, or None and a warning."""
        return self.identified(row, "ror", ror, value)


def _says(value: object) -> bool:
    return not is_blank(value) and value not in ([], {}, ())


class SourceError(ValueError):
    """A file is not what its source writes; says what it is and what would be right."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(f"{wrong}; {right}")
        self.wrong, self.right = wrong, right


def json_entries(data: bytes, *wrappers: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the objects of a JSON answer, array or file of lines, with their place from 1.

    Args:
        data: UTF-8.
        wrappers: the fields, from the outside, in which a register wraps its list (`message`, `items`); each that is
            there is opened.

    Raises:
        SourceError: it is not JSON, or holds no objects.
    """
    lines = [line for line in data.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()]
    try:
        whole: Any = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        try:
            whole = [orjson.loads(line) for line in lines] if len(lines) > 1 else None
        except orjson.JSONDecodeError:
            whole = None
        if whole is None:
            place = T_("line %(line)s, character %(column)s", line=error.lineno, column=error.colno)
            raise SourceError(
                T_("is not JSON (%(place)s)", place=place), T_("give the file as it was downloaded")
            ) from None
    pages = whole if isinstance(whole, list) else [whole]
    row = 0
    for page in pages:
        opened = page
        for name in wrappers:
            if isinstance(opened, Mapping) and name in opened:
                opened = opened[name]
        for entry in opened if isinstance(opened, list) else [opened]:
            row += 1
            if not isinstance(entry, Mapping):
                raise SourceError(
                    T_("holds %(entry)s where an object is expected", entry=shown(entry)),
                    T_("give the file as it was downloaded"),
                )
            yield row, entry


def xml_root(data: bytes) -> Any:
    """Return the root of an XML document; no entity is resolved and nothing is fetched.

    Raises:
        SourceError: it is not well-formed, or defines entities of its own.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise SourceError(
            T_("is not XML (%(error)s)", error=shown(str(error))), T_("give the file as it was downloaded")
        ) from None
    if root.getroottree().docinfo.internalDTD is not None and b"<!ENTITY" in data:
        raise SourceError(T_("defines entities of its own"), T_("give the file as its register writes it"))
    return root


_TAG, _BLANKS = re.compile(r"<[^<>]{0,300}>"), re.compile(r"\s+")
_BLOCK = re.compile(r"</(?:jats:)?(?:p|title|sec|div|li)>|<br\s*/?>", re.IGNORECASE)


def plain(value: object) -> str:
    """Return prose without the markup that registers leave in it (JATS, HTML, entities); paragraphs become lines."""
    if not isinstance(value, str):
        return ""
    text = _TAG.sub("", _BLOCK.sub("\n", value)) if "<" in value else value
    lines = (_BLANKS.sub(" ", line).strip() for line in html.unescape(text).splitlines())
    return "\n".join(line for line in lines if line)


def year_of(value: object) -> int | None:
    """Return the year at the beginning of a date such as 2021-05-03, 2021 or [2021, 5]; None if there is none."""
    first = value[0] if isinstance(value, list) and value else value
    if isinstance(first, list):
        return year_of(first)
    found = re.match(r"\s*((?:1[5-9]|20|21)\d\d)(?!\d)", str(first)) if isinstance(first, str | int) else None
    return int(found[1]) if found else None


KINDS_OF_WORKS: Mapping[str, EvidenceKind] = {
    "patent": EvidenceKind.PATENT,
    "patents": EvidenceKind.PATENT,
    "trademark": EvidenceKind.PATENT,
    "dissertation": EvidenceKind.THESIS,
    "dissertation-thesis": EvidenceKind.THESIS,
    "supervised-student-publication": EvidenceKind.THESIS,
    "phdthesis": EvidenceKind.THESIS,
    "mastersthesis": EvidenceKind.THESIS,
    "thesis": EvidenceKind.THESIS,
    "thes": EvidenceKind.THESIS,
    "pat": EvidenceKind.PATENT,
    "software": EvidenceKind.TECHNOLOGY,
    "computerprogram": EvidenceKind.TECHNOLOGY,
    "comp": EvidenceKind.TECHNOLOGY,
    "invention": EvidenceKind.TECHNOLOGY,
    "license": EvidenceKind.TECHNOLOGY,
    "grant": EvidenceKind.PROJECT,
    "award": EvidenceKind.PROJECT,
    "project": EvidenceKind.PROJECT,
}
"""What the registers call works that are no papers; whatever is not here is a paper."""


def kind_of_work(said: object) -> str:
    """Return the evidence kind of a register's word for a work."""
    word = str(said or "").strip().lower().replace("_", "-").replace(" ", "-")
    return KINDS_OF_WORKS.get(word, EvidenceKind.PAPER).value
