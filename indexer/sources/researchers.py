"""Researchers and their institutions: ORCID records, OpenAlex authors and institutions, ROR.

In: the bytes of a file as the register gives it. Out: labs (a researcher's profile), their works, and schools. It
exists so that a school that has nothing but a list of ORCID iDs gets profiles to begin with.

Formats: https://info.orcid.org (record 3.0, JSON and XML), https://docs.openalex.org (authors, institutions),
https://ror.readme.io (schema 1 and 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from indexer.sources.findings import Author, Findings, SourceError, json_entries, kind_of_work, plain, xml_root, year_of
from indexer.sources.works import openalex_id
from indexer.vocabulary import COUNTRIES, EvidenceKind, Kind
from indexer.wording import T_

Json = Mapping[str, Any]
_TAIWANESE = "TW"


def orcid_record(data: bytes, findings: Findings) -> None:
    """Read ORCID records: the JSON of the public interface, or the XML of its yearly file.

    Raises:
        SourceError: no ORCID iD stands in it.
    """
    xml = data.lstrip()[:1] == b"<"
    entries = [(1, _as_json(xml_root(data)))] if xml else list(json_entries(data))
    for row, entry in entries:
        findings.entries += 1
        number = findings.orcid(row, _at(entry, "orcid-identifier", "path") or _at(entry, "orcid-identifier", "uri"))
        if number is None:
            raise SourceError(T_("holds no ORCID iD"), T_("give a record of ORCID, version 3.0, as JSON or XML"))
        _researcher(row, number, entry, findings)


def _researcher(row: int, number: str, entry: Json, findings: Findings) -> None:
    person, done = _at(entry, "person") or {}, _at(entry, "activities-summary") or {}
    given, family = _text(person, "name", "given-names"), _text(person, "name", "family-name")
    name = _text(person, "name", "credit-name") or " ".join(part for part in (given, family) if part)
    keywords = _list(person, "keywords", "keyword")
    findings.record(
        row,
        Kind.LABS,
        {
            "id": f"orcid:{number}",
            "name": name or number,
            "pi": name,
            "orcid": number,
            "school": _employer(done),
            "summary": plain(_text(person, "biography", "content") or _text(person, "biography")),
            "keywords": [word for one in keywords for word in _words(_text(one, "content"))],
            "links": [
                address
                for one in _list(person, "researcher-urls", "researcher-url")
                if (address := _text(one, "url")).startswith(("https://", "http://"))
            ],
        },
    )
    author = [Author(name, number, f"orcid:{number}")]
    for group in _list(done, "works", "group"):
        work: Json = next(iter(_list(group, "work-summary")), {})
        identifiers = _list(work, "external-ids", "external-id") or _list(group, "external-ids", "external-id")
        found: Json = next((one for one in identifiers if one.get("external-id-type") == "doi"), {})
        doi = findings.doi(row, _text(found, "external-id-value"))
        findings.work(
            row,
            author,
            id=f"doi:{doi}" if doi else f"orcid-work:{work.get('put-code')}",
            kind=kind_of_work(work.get("type")),
            title=plain(_text(work, "title", "title")),
            year=year_of(_text(work, "publication-date", "year")),
            doi=doi,
        )
    for group in _list(done, "fundings", "group"):
        funding: Json = next(iter(_list(group, "funding-summary")), {})
        findings.work(
            row,
            author,
            id=f"orcid-funding:{funding.get('put-code')}",
            kind=EvidenceKind.PROJECT.value,
            title=plain(_text(funding, "title", "title")),
            year=year_of(_text(funding, "start-date", "year")),
        )


def _employer(done: Json) -> str:
    """Return where somebody works now: the newest employment that has no end."""
    current: list[tuple[int, str]] = []
    for group in _list(done, "employments", "affiliation-group"):
        # Its XML has no list of summaries around them.
        for summary in _list(group, "summaries") or [group]:
            one = summary.get("employment-summary") or {}
            if not _text(one, "end-date", "year"):
                current.append((year_of(_text(one, "start-date", "year")) or 0, _text(one, "organization", "name")))
    return max(current, default=(0, ""))[1]


def openalex_authors(data: bytes, findings: Findings) -> None:
    """Read authors of OpenAlex: one, a page of a query, or a part of its snapshot."""
    for row, entry in json_entries(data, "results"):
        findings.entries += 1
        key = openalex_id(entry.get("id"))
        if key is None:
            findings.refuse(row, "id", T_("has no id"), T_("give authors as OpenAlex writes them"))
            continue
        topics = entry.get("topics") or entry.get("x_concepts") or []
        places = [_at(one, "institution") or one for one in _list(entry, "affiliations")]
        places = _list(entry, "last_known_institutions") or places
        name = str(entry.get("display_name") or "")
        findings.record(
            row,
            Kind.LABS,
            {
                "id": f"openalex:{key}",
                "name": name,
                "pi": name,
                "orcid": findings.orcid(row, entry.get("orcid")),
                "school": next((str(one.get("display_name")) for one in places if one.get("display_name")), ""),
                "keywords": [one["display_name"] for one in topics[:20] if isinstance(one.get("display_name"), str)],
            },
        )


def openalex_institutions(data: bytes, findings: Findings) -> None:
    """Read institutions of OpenAlex; only those for education become schools, the others are counted."""
    for row, entry in json_entries(data, "results"):
        findings.entries += 1
        if entry.get("type") not in (None, "education"):
            continue
        key, place = openalex_id(entry.get("id")), _at(entry, "geo") or {}
        ror = findings.ror(row, entry.get("ror"))
        chinese = _text(entry, "international", "display_name", "zh-tw") or _text(
            entry, "international", "display_name", "zh"
        )
        findings.record(
            row,
            Kind.SCHOOLS,
            {
                "id": f"ror:{ror}" if ror else f"openalex:{key}",
                "name": chinese or str(entry.get("display_name") or ""),
                "name_en": str(entry.get("display_name") or ""),
                "city": str(place.get("city") or ""),
                "ror": ror,
            },
        )


def ror_organisations(data: bytes, findings: Findings) -> None:
    """Read ROR's organisations, schema 1 or 2; only those for education become schools, the others are counted."""
    for row, entry in json_entries(data, "items"):
        findings.entries += 1
        if "education" not in {str(one).lower() for one in entry.get("types") or ()}:
            continue
        ror = findings.ror(row, entry.get("id"))
        if ror is None:
            findings.refuse(row, "id", T_("has no ROR id"), T_("give the file as ROR publishes it"))
            continue
        names = _ror_names(entry)
        city = next(
            (
                _text(one, "geonames_details", "name") or _text(one, "city")
                for one in [*_list(entry, "locations"), *_list(entry, "addresses")]
            ),
            "",
        )
        main = next((text for text, kind, _ in names if kind == "shown"), names[0][0] if names else "")
        findings.record(
            row,
            Kind.SCHOOLS,
            {
                "id": f"ror:{ror}",
                "name": next((text for text, _, language in names if language in ("zh", "zh-tw")), main),
                "name_en": next((text for text, _, language in names if language == "en"), main),
                "city": city,
                "founded": year_of(entry.get("established")),
                "ror": ror,
            },
        )


def _ror_names(entry: Json) -> list[tuple[str, str, str]]:
    """Return each name as (text, "shown" or "", language)."""
    if isinstance(entry.get("name"), str):
        first = [(entry["name"], "shown", "")]
        labels = [(_text(one, "label"), "", _text(one, "iso639").lower()) for one in _list(entry, "labels")]
        return first + labels
    return [
        (
            _text(one, "value"),
            "shown" if "ror_display" in (one.get("types") or ()) else "",
            _text(one, "lang").lower(),
        )
        for one in _list(entry, "names")
        if set(one.get("types") or ()) & {"ror_display", "label"}
    ]


def country_code(value: object) -> str | None:
    """Return a country as its two letters if it is one, else None; an unknown one is not guessed."""
    word = str(value or "").strip().upper()
    return {"UK": "GB", "EL": "GR", "USA": "US"}.get(word, word if word in COUNTRIES else None)


def _at(value: object, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _text(value: object, *path: str) -> str:
    found = _at(value, *path)
    if isinstance(found, Mapping):
        found = found.get("value", found.get("content"))
    return str(found).strip() if isinstance(found, str | int) and not isinstance(found, bool) else ""


def _list(value: object, *path: str) -> list[Any]:
    found = _at(value, *path)
    if isinstance(found, Mapping):
        found = [found]
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.replace(";", ",").split(",") if word.strip()]


def _as_json(element: Any) -> Json:
    """Return ORCID's XML in the shape of its JSON: names without namespaces, repeated elements as lists."""
    found: dict[str, Any] = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    for child in element:
        if not isinstance(child.tag, str):
            continue
        name = child.tag.rpartition("}")[2]
        value = _as_json(child) if len(child) or child.attrib else (child.text or "").strip()
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    if element.text and element.text.strip() and not len(element):
        found["value"] = element.text.strip()
    return found
