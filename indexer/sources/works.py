"""Works of a bibliography: Crossref, DataCite, OpenAlex works, BibTeX and RIS.

In: the bytes of a file as its service or program writes it. Out: works in the exchange format with their authors, and
what could not be taken. It exists so that a lab's publications come from where they already are, typed by nobody.

Formats: https://api.crossref.org (works), https://support.datacite.org (REST, `attributes`),
https://docs.openalex.org (works), BibTeX as of the library bibtexparser, RIS as of rispy.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import rispy
from bibtexparser.entrypoint import parse_string
from bibtexparser.middlewares import LatexDecodingMiddleware, NormalizeFieldKeys
from pylatexenc.latex2text import LatexNodes2Text, MacroTextSpec, get_default_latex_context_db

from indexer.sources.findings import Author, Findings, SourceError, json_entries, kind_of_work, plain, year_of
from indexer.wording import T_

Json = Mapping[str, Any]


def crossref(data: bytes, findings: Findings) -> None:
    """Read works of Crossref: one, a page of a query, or lines of either."""
    for row, entry in json_entries(data, "message", "items"):
        findings.entries += 1
        number = findings.doi(row, entry.get("DOI"))
        findings.work(
            row,
            [
                Author(_joined(one), findings.orcid(row, one.get("ORCID")))
                for one in _objects(entry.get("author")) + _objects(entry.get("inventor"))
            ],
            id=_id("doi", number) or f"crossref:{row}",
            kind=kind_of_work(entry.get("type")),
            title=plain(_first(entry.get("title"))),
            abstract=plain(entry.get("abstract")),
            year=next((year for name in _CROSSREF_DATES if (year := _date_parts(entry.get(name)))), None),
            doi=number,
        )


_CROSSREF_DATES = ("issued", "published", "published-print", "published-online", "created")


def datacite(data: bytes, findings: Findings) -> None:
    """Read works of DataCite: one, a page of a query, or lines of either."""
    for row, entry in json_entries(data, "data"):
        findings.entries += 1
        said = entry.get("attributes", entry)
        number = findings.doi(row, said.get("doi"))
        descriptions = [one for one in _objects(said.get("descriptions")) if one.get("descriptionType") == "Abstract"]
        types = said.get("types") if isinstance(said.get("types"), Mapping) else {}
        findings.work(
            row,
            [
                Author(_joined(one), findings.orcid(row, _named_identifier(one, "orcid")))
                for one in _objects(said.get("creators"))
            ],
            id=_id("doi", number) or f"datacite:{row}",
            kind=kind_of_work(types.get("bibtex") or types.get("resourceTypeGeneral")),
            title=plain(next((one.get("title") for one in _objects(said.get("titles"))), "")),
            abstract=plain(descriptions[0].get("description")) if descriptions else "",
            year=year_of(said.get("publicationYear")),
            doi=number,
        )


def openalex_works(data: bytes, findings: Findings) -> None:
    """Read works of OpenAlex: one, a page of a query, or a part of its snapshot."""
    for row, entry in json_entries(data, "results"):
        findings.entries += 1
        authors = [one.get("author") or {} for one in _objects(entry.get("authorships"))]
        number = findings.doi(row, entry.get("doi"))
        findings.work(
            row,
            [
                Author(
                    str(one.get("display_name") or ""),
                    findings.orcid(row, one.get("orcid")),
                    _id("openalex", openalex_id(one.get("id"))),
                )
                for one in authors
            ],
            id=_id("doi", number) or _id("openalex", openalex_id(entry.get("id"))) or f"openalex:{row}",
            kind=kind_of_work(entry.get("type")),
            title=plain(entry.get("title") or entry.get("display_name")),
            abstract=_from_inverted(entry.get("abstract_inverted_index")),
            year=year_of(entry.get("publication_year")),
            doi=number,
        )


def openalex_id(value: object) -> str | None:
    """Return the short form of an OpenAlex id, such as A5023888391."""
    return value.rstrip("/").rsplit("/", 1)[-1] if isinstance(value, str) and value else None


def bibtex(data: bytes, findings: Findings) -> None:
    """Read a BibTeX file; LaTeX's accents become letters.

    Raises:
        SourceError: it has no entries.
    """
    logging.getLogger("bibtexparser").setLevel(logging.ERROR)
    decoding = LatexDecodingMiddleware(decoder=_decoder())
    steps = [NormalizeFieldKeys(allow_inplace_modification=True), decoding]
    library = parse_string(_decoded(data), append_middleware=steps)
    for failed in library.failed_blocks:
        findings.entries += 1
        findings.refuse(
            (failed.start_line or 0) + 1, "", T_("is an entry that can't be read"), T_("check its braces and its key")
        )
    for entry in library.entries:
        findings.entries += 1
        row = (entry.start_line or 0) + 1
        said = {field.key: str(field.value) for field in entry.fields}
        number = findings.doi(row, said.get("doi"))
        # What was given out here comes back as it was; others' texts may hold markup.
        as_read = str.strip if "gloria-id" in said else plain
        authors = said.get("author", "").replace("\n", " ").split(" and ")
        findings.work(
            row,
            [
                *(Author(_turned(name)) for name in authors if name.strip()),
                *([Author("", key=said["gloria-lab"])] if said.get("gloria-lab") else []),
            ],
            id=said.get("gloria-id")
            or _id("doi", number)
            or _id("bibtex", "_".join(entry.key.split()))
            or f"bibtex:{row}",
            kind=kind_of_work(entry.entry_type),
            title=as_read(said.get("title", "")),
            abstract=as_read(said.get("abstract", "")),
            year=year_of(said.get("year") or said.get("date")),
            doi=number,
        )
    if not findings.entries:
        raise SourceError(T_("has no BibTeX entries"), T_("give a file of entries such as @article{key, title = …}"))


_MACROS = [MacroTextSpec("textasciicircum", simplify_repl="^"), MacroTextSpec("url", simplify_repl="%s")]


def _decoder() -> LatexNodes2Text:
    """Return what turns LaTeX into text; a circumflex that stands for itself stays one."""
    known = get_default_latex_context_db()
    known.add_context_category("plain", macros=_MACROS, prepend=True)
    return LatexNodes2Text(latex_context=known, keep_braced_groups=False, math_mode="verbatim")


def ris(data: bytes, findings: Findings) -> None:
    """Read a RIS file, as reference managers write it.

    Raises:
        SourceError: it is not RIS.
    """
    try:
        entries = rispy.loads(_decoded(data), skip_unknown_tags=True)
    except (OSError, ValueError, KeyError, IndexError):
        entries = []
    if not entries:
        raise SourceError(T_("has no RIS entries"), T_("give a file whose entries begin with TY  - and end with ER  -"))
    for row, entry in enumerate(entries, start=1):
        findings.entries += 1
        number = findings.doi(row, entry.get("doi"))
        authors = entry.get("authors") or entry.get("first_authors") or []
        findings.work(
            row,
            [Author(_turned(str(name))) for name in authors],
            id=_id("doi", number) or _id("ris", "_".join(str(entry.get("id") or "").split())) or f"ris:{row}",
            kind=kind_of_work(entry.get("type_of_reference")),
            title=plain(entry.get("title") or entry.get("primary_title")),
            abstract=plain(entry.get("abstract") or entry.get("notes_abstract")),
            year=year_of(entry.get("year") or entry.get("publication_year") or entry.get("date")),
            doi=number,
        )


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(T_("is not UTF-8 at byte %(start)s", start=error.start + 1), T_("save it as UTF-8")) from None


def _id(scheme: str, value: str | None) -> str | None:
    return f"{scheme}:{value}" if value else None


def _objects(value: object) -> list[Json]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _first(value: object) -> object:
    return next(iter(value), "") if isinstance(value, list) else value


def _joined(person: Json) -> str:
    names = (person.get("givenName") or person.get("given"), person.get("familyName") or person.get("family"))
    return " ".join(str(one) for one in names if one) or _turned(str(person.get("name") or ""))


def _turned(name: str) -> str:
    """Return Family, Given as Given Family."""
    family, comma, given = (part.strip() for part in name.partition(","))
    return f"{given} {family}" if comma else family


def _named_identifier(person: Json, scheme: str) -> object:
    found = _objects(person.get("nameIdentifiers"))
    return next(
        (one.get("nameIdentifier") for one in found if str(one.get("nameIdentifierScheme")).lower() == scheme), None
    )


def _date_parts(value: object) -> int | None:
    return year_of(value.get("date-parts")) if isinstance(value, Mapping) else None


def _from_inverted(index: object) -> str:
    """Return the abstract of an inverted index (word -> positions)."""
    if not isinstance(index, Mapping):
        return ""
    return " ".join(word for _, word in sorted(_places(index)))


def _places(index: Json) -> Iterator[tuple[int, str]]:
    for word, places in index.items():
        if isinstance(places, list):
            yield from ((place, word) for place in places if isinstance(place, int))
