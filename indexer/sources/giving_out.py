"""Labs as other systems read them: CERIF-XML of the OpenAIRE profile, schema.org's JSON-LD, BibTeX.

In: labs with their evidence, schools. Out: a file, chunk by chunk. It exists because what an office has typed here a
university's research information system, a web page and a reference manager want too. Only what everybody may know of
a lab goes out: no capacity, no conflicts of interest, nothing that the lab will not do.

Each record carries its id here (`own_scheme`), by which the readers of this folder know it again; what they read is
what was written, as far as the format has a place for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import orjson

from indexer.records.open_document import xml_text
from indexer.sources.findings import own_scheme
from indexer.vocabulary import EvidenceKind

Json = Mapping[str, Any]
Labs = Iterable[list[Json]]
"""Labs in the exchange format, page by page."""


class LabFormat(StrEnum):
    """What a lab can be given out as."""

    CERIF = "cerif"
    SCHEMA_ORG = "schema-org"
    BIBTEX = "bibtex"


MEDIA_TYPES = {
    LabFormat.CERIF: "application/xml",
    LabFormat.SCHEMA_ORG: "application/ld+json",
    LabFormat.BIBTEX: "application/x-bibtex; charset=utf-8",
}
SUFFIXES = {LabFormat.CERIF: "xml", LabFormat.SCHEMA_ORG: "jsonld", LabFormat.BIBTEX: "bib"}


def given_out(form: LabFormat, labs: Labs, schools: Mapping[str, Json]) -> Iterator[bytes]:
    """Yield the file of some labs.

    Args:
        form: what kind of file.
        labs: with their evidence.
        schools: by the ids by which labs name them.

    Raises:
        NotXmlError: a text holds a character that XML can't.
    """
    writers: Mapping[LabFormat, Callable[[Labs, Mapping[str, Json]], Iterator[str]]] = {
        LabFormat.CERIF: _cerif,
        LabFormat.SCHEMA_ORG: _schema_org,
        LabFormat.BIBTEX: _bibtex,
    }
    for chunk in writers[form](labs, schools):
        yield chunk.encode()


_ORCID, _ROR = "https://orcid.org/", "https://ror.org/"
_XML = '<?xml version="1.0" encoding="UTF-8"?>\n<CERIF xmlns="https://www.openaire.eu/cerif-profile/1.2/">\n'
_COAR = "http://purl.org/coar/resource_type/"
_IN_CERIF = {
    EvidenceKind.PAPER: ("Publication", f"{_COAR}c_6501", "Authors", "Author", "PublicationDate"),
    EvidenceKind.THESIS: ("Publication", f"{_COAR}c_46ec", "Authors", "Author", "PublicationDate"),
    EvidenceKind.PATENT: ("Patent", f"{_COAR}c_15cd", "Inventors", "Inventor", "RegistrationDate"),
    EvidenceKind.TECHNOLOGY: ("Product", "", "Creators", "Creator", ""),
    EvidenceKind.PROJECT: ("Project", "", "Team", "PrincipalInvestigator", "StartDate"),
}
"""Element, type, the group of people and one of it, the element of the day."""


def _cerif(labs: Labs, schools: Mapping[str, Json]) -> Iterator[str]:
    yield _XML
    told: set[str] = set()
    for page in labs:
        for lab in page:
            school = schools.get(str(lab.get("school")))
            if school is not None and school["id"] not in told:
                told.add(school["id"])
                yield _cerif_school(school)
            yield "".join(_cerif_lab(lab, school))
    yield "</CERIF>\n"


def _cerif_school(school: Json) -> str:
    ror = _tag("RORID", school.get("ror") and _ROR + school["ror"])
    own = _own("school", school["id"])
    return f"<OrgUnit id={_id('school', school['id'])}>{_cerif_names(school)}{ror}{own}</OrgUnit>\n"


def _cerif_names(record: Json) -> str:
    """Return both names; the one in the record's own language is not said to be in any."""
    return _tag("Name", record["name"]) + _tag("Name", record.get("name_en"), ' xml:lang="en"')


def _cerif_lab(lab: Json, school: Json | None) -> Iterator[str]:
    if school is not None:
        part_of = f"<PartOf><OrgUnit id={_id('school', school['id'])}>{_own('school', school['id'])}</OrgUnit></PartOf>"
    else:
        part_of = f"<PartOf><OrgUnit>{_tag('Name', lab['school'])}</OrgUnit></PartOf>" if lab.get("school") else ""
    links = "".join(_tag("ElectronicAddress", link) for link in lab.get("links") or ())
    own = _own("lab", lab["id"])
    yield f"<OrgUnit id={_id('lab', lab['id'])}>{_cerif_names(lab)}{own}{links}{part_of}</OrgUnit>\n"
    orcid = _tag("ORCID", lab.get("orcid") and _ORCID + lab["orcid"])
    unit = f"<Affiliation><OrgUnit id={_id('lab', lab['id'])}>{own}</OrgUnit></Affiliation>"
    if lab.get("pi"):
        name = f"<PersonName>{_tag('FamilyNames', lab['pi'])}</PersonName>"
        yield f"<Person id={_id('head', lab['id'])}>{name}{orcid}{own}{unit}</Person>\n"
    for item in lab.get("evidence") or ():
        name, kind, group, one, day = _IN_CERIF[EvidenceKind(item["kind"])]
        person = f"<Person>{_tag('DisplayName', lab.get('pi'))}{orcid}{own}</Person>"
        yield (
            f"<{name} id={_id('evidence', lab['id'] + '/' + item['id'])}>"
            f"{_tag('Type', kind)}{_tag('Title', item['title'])}"
            f"{_tag(day or 'PublicationDate', item.get('year'))}{_tag('DOI', item.get('doi'))}"
            f"{_own('evidence', item['id'])}<{group}><{one}>{person}{unit}</{one}></{group}>"
            f"{_tag('Abstract', item.get('abstract'))}</{name}>\n"
        )


def _tag(name: str, value: object, attributes: str = "") -> str:
    return f"<{name}{attributes}>{xml_text(str(value))}</{name}>" if value not in (None, "") else ""


def _id(kind: str, record_id: str) -> str:
    return quoteattr(f"{kind}/{record_id}")


def _own(kind: str, record_id: str) -> str:
    return f'<Identifier type="{own_scheme(kind)}">{xml_text(record_id)}</Identifier>'


_IN_SCHEMA = {
    EvidenceKind.PAPER: ("ScholarlyArticle", "datePublished"),
    EvidenceKind.THESIS: ("Thesis", "datePublished"),
    EvidenceKind.PATENT: ("CreativeWork", "datePublished"),
    EvidenceKind.TECHNOLOGY: ("CreativeWork", "dateCreated"),
    EvidenceKind.PROJECT: ("ResearchProject", "startDate"),
}


def _schema_org(labs: Labs, schools: Mapping[str, Json]) -> Iterator[str]:
    yield '{"@context":"https://schema.org","@graph":['
    between = "\n"
    for page in labs:
        for lab in page:
            for thing in _things_of(lab, schools.get(str(lab.get("school")))):
                said = {name: value for name, value in thing.items() if value not in (None, "", [])}
                yield between + orjson.dumps(said).decode()
                between = ",\n"
    yield "\n]}\n"


def _things_of(lab: Json, school: Json | None) -> Iterator[dict[str, Any]]:
    head = {"@type": "Person", "name": lab["pi"]} if lab.get("pi") else None
    if head is not None and lab.get("orcid"):
        head["sameAs"] = _ORCID + lab["orcid"]
    yield {
        "@type": "ResearchOrganization",
        "@id": _iri("lab", lab["id"]),
        "identifier": _property("lab", lab["id"]),
        "name": _in_both(lab["name"], lab.get("name_en")),
        "description": _in_both(lab.get("summary"), lab.get("summary_en")),
        "keywords": list(lab.get("keywords") or ()),
        "knowsAbout": list(lab.get("fields") or ()),
        "knowsLanguage": list(lab.get("languages") or ()),
        "url": list(lab.get("links") or ()),
        "employee": head,
        "parentOrganization": _schema_school(school) if school is not None else lab.get("school"),
    }
    for item in lab.get("evidence") or ():
        kind = EvidenceKind(item["kind"])
        name, day = _IN_SCHEMA[kind]
        yield {
            "@type": name,
            "additionalType": kind.value,
            "identifier": _property("evidence", item["id"]),
            "name": item["title"],
            "abstract": item.get("abstract"),
            day: str(item["year"]) if item.get("year") else None,
            "sameAs": f"https://doi.org/{item['doi']}" if item.get("doi") else None,
            "author": head,
            "sourceOrganization": {"@id": _iri("lab", lab["id"])},
        }


def _schema_school(school: Json) -> dict[str, Any]:
    return {
        "@type": "CollegeOrUniversity",
        "@id": _iri("school", school["id"]),
        "identifier": _property("school", school["id"]),
        "name": _in_both(school["name"], school.get("name_en")),
    } | ({"sameAs": _ROR + school["ror"]} if school.get("ror") else {})


def _iri(kind: str, record_id: str) -> str:
    return f"{own_scheme(kind)}:{quote(record_id, safe='')}"


def _property(kind: str, record_id: str) -> dict[str, str]:
    return {"@type": "PropertyValue", "propertyID": own_scheme(kind), "value": record_id}


def _in_both(own: Any, english: Any) -> list[Any]:
    return [*([own] if own else []), *([{"@value": english, "@language": "en"}] if english else [])]


_IN_BIBTEX = {
    EvidenceKind.PAPER: "article",
    EvidenceKind.THESIS: "phdthesis",
    EvidenceKind.PATENT: "patent",
    EvidenceKind.TECHNOLOGY: "software",
    EvidenceKind.PROJECT: "project",
}
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{c: f"\\{c}" for c in "{}&%$#_"},
}
_LIGATURES = re.compile(r"(?<=[-`'?!,<>])(?=[-`',<>])")
_NO_KEY = re.compile(r"[^A-Za-z0-9:._+-]+")


def _bibtex(labs: Labs, schools: Mapping[str, Json]) -> Iterator[str]:
    del schools
    keys: set[str] = set()
    for page in labs:
        for lab in page:
            for item in lab.get("evidence") or ():
                yield _bibtex_entry(lab, item, _key(lab, item, keys))


def _key(lab: Json, item: Json, keys: set[str]) -> str:
    """Return a key that LaTeX takes and no other entry of the file has."""
    wanted = _NO_KEY.sub("-", f"{lab['id']}:{item['id']}").strip("-") or "work"
    key, n = wanted, 1
    while key.casefold() in keys:
        n += 1
        key = f"{wanted}-{n}"
    keys.add(key.casefold())
    return key


def _bibtex_entry(lab: Json, item: Json, key: str) -> str:
    said = {
        "title": item["title"],
        "author": f"{{{_latex(lab['pi'])}}}" if lab.get("pi") else "",
        "year": item.get("year"),
        "doi": item.get("doi"),
        "abstract": item.get("abstract"),
        "gloria-lab": lab["id"],
        "gloria-id": item["id"],
    }
    fields = (
        f"  {name} = {{{value if name == 'author' else _latex(str(value))}}}"
        for name, value in said.items()
        if value not in (None, "")
    )
    return f"@{_IN_BIBTEX[EvidenceKind(item['kind'])]}{{{key},\n" + ",\n".join(fields) + "\n}\n\n"


def _latex(text: str) -> str:
    # Characters that LaTeX would join into another one are kept apart.
    return _LIGATURES.sub("{}", "".join(_LATEX.get(c, c) for c in text))
