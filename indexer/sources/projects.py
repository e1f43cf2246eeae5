"""Funded projects and who took part: CORDIS, NSF awards, SBIR awards and topics.

In: the bytes of a file as the funder publishes it. Out: projects as works, the labs and companies that took part, and
of SBIR's topics needs. It exists because what a lab was paid to do says more of what it can do than its titles, and
because a company's awards are its best description.

Formats: https://cordis.europa.eu/data (project and organization, CSV or JSON), https://resources.research.gov (awards
as JSON of the search, JSON or XML of the yearly files), https://www.sbir.gov (awards as JSON or CSV, solicitations).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from indexer.plain_text import shown
from indexer.sources.findings import Author, Findings, SourceError, json_entries, plain, xml_root, year_of
from indexer.sources.researchers import country_code
from indexer.vocabulary import EvidenceKind, Kind, Size
from indexer.wording import T_

Json = Mapping[str, Any]
_COMPANY, _SCHOOLS = "PRC", ("HES", "REC")


def cordis(data: bytes, findings: Findings) -> None:
    """Read CORDIS's project or organization file; given together they say whose each project is.

    Raises:
        SourceError: it is neither.
    """
    for row, entry in _entries(data, ";"):
        findings.entries += 1
        if "organisationID" in entry:
            _participant(row, entry, findings)
        elif "objective" in entry:
            findings.work(
                row,
                [],
                id=f"cordis:{entry.get('id') or entry.get('projectID') or row}",
                kind=EvidenceKind.PROJECT.value,
                title=plain(entry.get("title")),
                abstract=plain(entry.get("objective")),
                year=year_of(entry.get("startDate")),
            )
        else:
            raise SourceError(
                T_("is neither CORDIS's project nor its organization file"),
                T_("give project.csv and organization.csv of one programme, or the same as JSON"),
            )


def _participant(row: int, entry: Json, findings: Findings) -> None:
    number, name, kind = entry.get("organisationID"), plain(entry.get("name")), entry.get("activityType")
    if not number:
        findings.refuse(row, "organisationID", T_("has no id"), T_("give the file as CORDIS publishes it"))
        return
    key = f"cordis:{number}"
    if kind == _COMPANY:
        country = country_code(entry.get("country"))
        if country is None:
            # Without one it would count as Taiwanese.
            wrong = T_("%(value)s is not a country", value=shown(entry.get("country")))
            findings.refuse(row, "country", wrong, T_("give a two-letter code such as TW, JP or DE"))
            return
        findings.record(
            row,
            Kind.COMPANIES,
            {"id": key, "name": name, "city": plain(entry.get("city")), "country": country},
        )
    elif kind in _SCHOOLS:
        findings.record(
            row,
            Kind.LABS,
            {"id": key, "name": name, "school": name, "links": _links(entry.get("organizationURL"))},
        )
        work = f"cordis:{entry.get('projectID')}"
        findings.owners.setdefault(work, []).append(Author(name, None, key))


def nsf_awards(data: bytes, findings: Findings) -> None:
    """Read NSF's awards: the answer of a search, or a file of the yearly downloads (JSON or XML)."""
    if data.lstrip()[:1] == b"<":
        entries: Iterator[tuple[int, Json]] = enumerate(map(_of_xml, xml_root(data).iter("Award")), start=1)
    else:
        entries = json_entries(data, "response", "award")
    for row, entry in entries:
        findings.entries += 1
        number = entry.get("id") or entry.get("awd_id") or entry.get("AwardID")
        school = (
            entry.get("awardeeName") or _inside(entry, "inst", "inst_name") or _inside(entry, "Institution", "Name")
        )
        heads = [_nsf_head(row, one, str(school or ""), findings) for one in _nsf_people(entry)]
        findings.work(
            row,
            [head for head in heads if head is not None],
            id=f"nsf:{number or row}",
            kind=EvidenceKind.PROJECT.value,
            title=plain(entry.get("title") or entry.get("awd_titl_txt") or entry.get("AwardTitle")),
            abstract=plain(entry.get("abstractText") or entry.get("abst_narr") or entry.get("AbstractNarration")),
            year=_american_year(entry.get("startDate") or entry.get("awd_eff_date") or entry.get("AwardEffectiveDate")),
        )


def _nsf_people(entry: Json) -> list[str]:
    """Return who heads the project: the principal investigators, without those beside them."""
    if entry.get("piFirstName") or entry.get("piLastName"):
        return [f"{entry.get('piFirstName', '')} {entry.get('piLastName', '')}".strip()]
    people = entry.get("pi") or entry.get("Investigator") or []
    names = []
    for one in people if isinstance(people, list) else [people]:
        if isinstance(one, Mapping) and str(one.get("pi_role") or one.get("RoleCode") or "").lower().startswith("p"):
            first, last = (
                one.get("pi_first_name") or one.get("FirstName"),
                one.get("pi_last_name") or one.get("LastName"),
            )
            names.append(f"{first or ''} {last or ''}".strip())
    return [name for name in names if name]


def _nsf_head(row: int, name: str, school: str, findings: Findings) -> Author | None:
    key = made_id("nsf", school, name)
    findings.record(row, Kind.LABS, {"id": key, "name": name, "pi": name, "school": school})
    return Author(name, None, key)


def sbir(data: bytes, findings: Findings) -> None:
    """Read SBIR's awards as companies, and its solicitations' topics as needs.

    A company's description is the titles of its awards with their abstracts, newest first.
    """
    firms: dict[str, list[tuple[int, Json]]] = {}
    for row, raw in _entries(data, ",", "results"):
        findings.entries += 1
        entry = {key.strip().lower().replace(" ", "_"): value for key, value in raw.items()}
        if isinstance(entry.get("solicitation_topics"), list):
            _topics(row, entry, findings)
            continue
        firm = plain(entry.get("firm") or entry.get("company"))
        if not firm:
            findings.refuse(row, "firm", T_("names no company"), T_("give the file as SBIR publishes it"))
            continue
        firms.setdefault(str(entry.get("uei") or "") or made_id("", firm), []).append((row, entry))
    for key, awards in firms.items():
        awards.sort(key=lambda one: str(one[1].get("award_year") or ""), reverse=True)
        row, newest = awards[0]
        titles = (_award_text(entry) for _, entry in awards)
        findings.record(
            row,
            Kind.COMPANIES,
            {
                "id": f"sbir:{key}",
                "name": plain(newest.get("firm") or newest.get("company")),
                "country": "US",
                "city": plain(newest.get("city")),
                "size": _size(newest.get("number_employees")),
                "description": "\n\n".join(dict.fromkeys(text for text in titles if text))[:50_000],
            },
        )


def _award_text(entry: Json) -> str:
    parts = (plain(entry.get("award_title")), plain(entry.get("abstract")))
    return "\n".join(part for part in parts if part)


def _topics(row: int, solicitation: Json, findings: Findings) -> None:
    for number, topic in enumerate(solicitation["solicitation_topics"], start=1):
        if not isinstance(topic, Mapping):
            continue
        name = topic.get("topic_number") or f"{solicitation.get('solicitation_number') or row}-{number}"
        findings.record(
            row,
            Kind.NEEDS,
            {
                "id": f"sbir:{'_'.join(str(name).split())}",
                "title": plain(topic.get("topic_title")),
                "description": plain(topic.get("topic_description")),
            },
        )


def made_id(scheme: str, *parts: str) -> str:
    """Return an id made of words, the same for the same words whatever their case; long ones end in their hash."""
    said = "@".join("_".join(part.lower().split()) for part in parts if part.strip())
    if len(said) > _ID_WORDS_MAX:
        said = said[: _ID_WORDS_MAX - 16] + sha256(said.encode()).hexdigest()[:16]
    return f"{scheme}:{said}" if scheme else said


_ID_WORDS_MAX = 150


def _entries(data: bytes, delimiter: str, *wrappers: str) -> Iterator[tuple[int, Json]]:
    """Yield the objects of JSON or the rows of CSV (row 1 has the headings)."""
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{"):
        yield from json_entries(data, *wrappers)
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(T_("is not UTF-8 at byte %(start)s", start=error.start + 1), T_("save it as UTF-8")) from None
    csv.field_size_limit(2**24)
    rows = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=False)
    try:
        for row in rows:
            yield rows.line_num, {key: value for key, value in row.items() if isinstance(key, str)}
    except csv.Error as error:
        raise SourceError(
            T_("is not CSV (%(error)s)", error=str(error)), T_("give the file as it was downloaded")
        ) from None


def _of_xml(element: Any) -> Json:
    found: dict[str, Any] = {}
    for child in element:
        if not isinstance(child.tag, str):
            continue
        value = _of_xml(child) if len(child) else (child.text or "").strip()
        if child.tag == "Investigator":
            found.setdefault(child.tag, []).append(value)
        else:
            found.setdefault(child.tag, value)
    return found


def _inside(entry: Json, name: str, inner: str) -> object:
    found = entry.get(name)
    return found.get(inner) if isinstance(found, Mapping) else None


def _american_year(value: object) -> int | None:
    found = re.search(r"(?<!\d)((?:19|20)\d\d)(?!\d)", str(value or ""))
    return int(found[1]) if found else None


def _links(value: object) -> list[str]:
    address = str(value or "").strip()
    if not address:
        return []
    return [address if address.startswith(("https://", "http://")) else f"https://{address}"]


def _size(employees: object) -> str | None:
    """Return the size by the bounds of the European Commission (2003/361/EC): 10, 50 and 250 employees."""
    word = str(employees or "").strip()
    if not word.isdecimal():
        return None
    bounds = ((10, Size.MICRO), (50, Size.SMALL), (250, Size.MEDIUM))
    return next((size.value for bound, size in bounds if int(word) < bound), Size.LARGE.value)
