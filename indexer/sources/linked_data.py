"""What research information systems and web pages say of themselves: CERIF-XML, VIVO's RDF, schema.org.

In: the bytes of a file or page. Out: labs (people who do research), schools, and works with their authors. It exists
because a university that has such a system need not type its labs again.

Formats: OpenAIRE Guidelines for CRIS Managers 1.1 and 1.2 (CERIF-XML), https://wiki.lyrasis.org/display/VIVO (the
VIVO ontology, read with rdflib), https://schema.org as JSON-LD, in a file of its own or in an HTML page. Contexts of
JSON-LD are never fetched: names are taken for schema.org's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import orjson
from lxml import html as lxml_html
from rdflib import RDF, RDFS, Graph, Namespace, URIRef
from rdflib.term import Node

from indexer.sources.findings import (
    Author,
    Findings,
    SourceError,
    kind_of_work,
    own_scheme,
    plain,
    xml_root,
    year_of,
)
from indexer.sources.projects import made_id
from indexer.vocabulary import EvidenceKind, Kind
from indexer.wording import T_

_WORKS_OF_CERIF = {
    "Publication": ("Authors", "Author"),
    "Patent": ("Inventors", "Inventor"),
    "Product": ("Creators", "Creator"),
    "Project": ("Team", "PrincipalInvestigator"),
}
_KIND_OF_CERIF = {
    "Publication": EvidenceKind.PAPER,
    "Patent": EvidenceKind.PATENT,
    "Product": EvidenceKind.TECHNOLOGY,
    "Project": EvidenceKind.PROJECT,
}
_DAYS_OF_CERIF = ("PublicationDate", "RegistrationDate", "ApprovalDate", "StartDate")


def cerif(data: bytes, findings: Findings) -> None:
    """Read CERIF-XML: people become labs, universities schools, what they made works.

    Raises:
        SourceError: none of CERIF's elements is in it.
    """
    root = xml_root(data)
    for row, element in enumerate(_top_of_cerif(root), start=1):
        findings.entries += 1
        name = _local(element)
        if name == "Person":
            _cerif_person(row, element, findings)
        elif name == "OrgUnit":
            _cerif_unit(row, element, findings)
        else:
            _cerif_work(row, name, element, findings)
    if not findings.entries:
        raise SourceError(
            T_("has none of CERIF's records"), T_("give CERIF-XML of the OpenAIRE profile, with Person or Publication")
        )


def _top_of_cerif(root: Any) -> Iterator[Any]:
    """Yield the records themselves, not the stubs of other records inside them."""
    names = {"Person", "OrgUnit", *_WORKS_OF_CERIF}
    waiting = [root]
    while waiting:
        element = waiting.pop()
        if isinstance(element.tag, str) and _local(element) in names:
            yield element
        else:
            waiting.extend(reversed(element))


def _cerif_person(row: int, element: Any, findings: Findings) -> None:
    name = _person_name(element)
    unit = next(iter(_all(element, "OrgUnit")), None)
    findings.record(
        row,
        Kind.LABS,
        {
            "id": _own(element, "lab") or _cerif_key(element, name),
            "name": name,
            "pi": name,
            "orcid": findings.orcid(row, _first(element, "ORCID")),
            "school": _first(unit, "Name") if unit is not None else "",
        },
    )


def _cerif_unit(row: int, element: Any, findings: Findings) -> None:
    """Take a unit that is no part of another one for a school; of the parts only labs of ours are told from others."""
    names = {(_lang(one) or ""): plain(one.text) for one in element if _local(one) == "Name"}
    english, own_lab = names.get("en", ""), _own(element, "lab")
    above = next((one for one in element if _local(one) == "PartOf"), None)
    if own_lab is not None:
        findings.record(row, Kind.LABS, _cerif_lab(own_lab, element, above))
        return
    if above is not None:
        return
    ror = findings.ror(row, _first(element, "RORID"))
    chinese = next((text for lang, text in names.items() if lang.startswith("zh")), names.get("", ""))
    findings.record(
        row,
        Kind.SCHOOLS,
        {
            "id": _own(element, "school")
            or (f"ror:{ror}" if ror else _cerif_key(element, english or next(iter(names.values()), ""))),
            "name": chinese or english or next(iter(names.values()), ""),
            "name_en": english,
            "ror": ror,
        },
    )


def _cerif_lab(lab_id: str, element: Any, above: Any) -> dict[str, Any]:
    """Return a lab that was given out here."""
    names = {_lang(one) or "": one.text or "" for one in element if _local(one) == "Name"}
    return {
        "id": lab_id,
        "name": names.get("", ""),
        "name_en": names.get("en", ""),
        "school": "" if above is None else _own_within(above, "school") or _first(above, "Name"),
        "links": [one.text for one in element if _local(one) == "ElectronicAddress" and one.text],
    }


def _cerif_work(row: int, name: str, element: Any, findings: Findings) -> None:
    around, one = _WORKS_OF_CERIF[name]
    people = [person for group in element if _local(group) == around for person in group if _local(person) == one]
    doi = findings.doi(row, _first(element, "DOI"))
    said = (_first(element, "Type") or "").rstrip("/").rpartition("/")[2].lower()
    is_thesis = "thesis" in said or said in _THESES_OF_COAR
    own = _own(element, "evidence")
    # What was given out here comes back as it was; others' texts may hold markup.
    as_read = str.strip if own else plain
    findings.work(
        row,
        [_cerif_author(row, person, findings) for person in people],
        id=own or (f"doi:{doi}" if doi else _cerif_key(element, _first(element, "Title"))),
        kind=(EvidenceKind.THESIS if is_thesis else _KIND_OF_CERIF[name]).value,
        title=as_read(_first(element, "Title")),
        abstract=as_read(_first(element, "Abstract")),
        year=next((year for day in _DAYS_OF_CERIF if (year := year_of(_first(element, day)))), None),
        doi=doi,
    )


_THESES_OF_COAR = {"c_46ec", "c_7a1f", "c_bdcc", "c_db06"}
"""Theses in the vocabulary of resource types of the Confederation of Open Access Repositories."""


def _cerif_author(row: int, element: Any, findings: Findings) -> Author:
    person = next(iter(_all(element, "Person")), element)
    name = _person_name(person) or _first(element, "DisplayName")
    key = _own_within(element, "lab") or _cerif_key(person, name)
    return Author(name, findings.orcid(row, _first(person, "ORCID")), key)


def _cerif_key(element: Any, words: str) -> str:
    said = element.get("id")
    return f"cerif:{said}" if said and not any(c.isspace() for c in said) else made_id("cerif", words)


def _own(element: Any, kind: str) -> str | None:
    """Return the id that a record of CERIF has here, if it was given out here."""
    scheme = own_scheme(kind)
    found = (one.text for one in element if _local(one) == "Identifier" and one.get("type") == scheme)
    return next((text for text in found if text), None)


def _own_within(element: Any, kind: str) -> str | None:
    return next((own for one in element.iter() if (own := _own(one, kind)) is not None), None)


def _person_name(element: Any) -> str:
    parts = (_first(element, "FirstNames"), _first(element, "FamilyNames"))
    return " ".join(part for part in parts if part)


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _lang(element: Any) -> str | None:
    said = element.get("{http://www.w3.org/XML/1998/namespace}lang")
    return said.lower() if said else None


def _all(element: Any, name: str) -> list[Any]:
    return [one for one in element.iter() if isinstance(one.tag, str) and _local(one) == name]


def _first(element: Any, name: str) -> str:
    return next((one.text.strip() for one in _all(element, name) if one.text and one.text.strip()), "")


_VIVO = Namespace("http://vivoweb.org/ontology/core#")
_BIBO = Namespace("http://purl.org/ontology/bibo/")
_FOAF = Namespace("http://xmlns.com/foaf/0.1/")
_OBO = Namespace("http://purl.obolibrary.org/obo/")
_PEOPLE = (_VIVO.FacultyMember, _VIVO.NonFacultyAcademic, _VIVO.Postdoc, _VIVO.EmeritusFaculty, _FOAF.Person)


def vivo(data: bytes, findings: Findings) -> None:
    """Read VIVO's RDF (Turtle, N-Triples or RDF/XML).

    Raises:
        SourceError: it is not RDF, or nobody is in it.
    """
    graph = _rdf(data)
    people = {person for kind in _PEOPLE for person in graph.subjects(RDF.type, kind) if isinstance(person, URIRef)}
    for row, person in enumerate(sorted(people), start=1):
        findings.entries += 1
        name = _label(graph, person)
        number = findings.orcid(row, _orcid_of(graph, person))
        findings.record(
            row,
            Kind.LABS,
            {
                "id": f"vivo:{_tail(person)}",
                "name": name,
                "pi": name,
                "orcid": number,
                "school": _employer(graph, person),
                "summary": plain(
                    str(graph.value(person, _VIVO.researchOverview) or graph.value(person, _VIVO.overview) or "")
                ),
                "keywords": sorted(_label(graph, area) for area in graph.objects(person, _VIVO.hasResearchArea)),
            },
        )
        author = Author(name, number, f"vivo:{_tail(person)}")
        for work in sorted(_works_of(graph, person), key=str):
            _vivo_work(row, graph, work, author, findings)
    for row, school in enumerate(sorted(set(graph.subjects(RDF.type, _VIVO.University)), key=str), start=1):
        findings.entries += 1
        findings.record(row, Kind.SCHOOLS, {"id": f"vivo:{_tail(school)}", "name": _label(graph, school)})
    if not findings.entries:
        raise SourceError(T_("names nobody"), T_("give RDF of VIVO, with people of vivo:FacultyMember or foaf:Person"))


def _rdf(data: bytes) -> Graph:
    begins = data.lstrip(b"\xef\xbb\xbf \t\r\n")
    # Turtle, of which N-Triples are a part, may begin with < too.
    is_xml = begins[:1] == b"<" and (b"<?xml" in begins[:200] or b"rdf:RDF" in begins[:500])
    if is_xml:
        xml_root(data)
    try:
        return Graph().parse(data=data, format="xml" if is_xml else "turtle")
    except Exception as error:  # rdflib's parsers raise whatever they meet
        said = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise SourceError(T_("is not RDF (%(error)s)", error=said), T_("give Turtle, N-Triples or RDF/XML")) from None


def _works_of(graph: Graph, person: Node) -> set[Node]:
    found: set[Node] = set()
    for link in graph.objects(person, _VIVO.relatedBy):
        if (link, RDF.type, _VIVO.Authorship) in graph:
            found.update(one for one in graph.objects(link, _VIVO.relates) if one != person)
    return found


def _vivo_work(row: int, graph: Graph, work: Node, author: Author, findings: Findings) -> None:
    kinds = {_tail(one) for one in graph.objects(work, RDF.type)}
    day = graph.value(graph.value(work, _VIVO.dateTimeValue), _VIVO.dateTime)
    doi = findings.doi(row, str(graph.value(work, _BIBO.doi) or ""))
    findings.work(
        row,
        [author],
        id=f"doi:{doi}" if doi else f"vivo:{_tail(work)}",
        kind=next((kind for one in sorted(kinds) if (kind := kind_of_work(one)) != EvidenceKind.PAPER), "paper"),
        title=plain(_label(graph, work)),
        abstract=plain(str(graph.value(work, _BIBO.abstract) or "")),
        year=year_of(str(day or "")),
        doi=doi,
    )


def _employer(graph: Graph, person: Node) -> str:
    """Return the university above where somebody has a position, or that place itself."""
    for link in sorted(graph.objects(person, _VIVO.relatedBy), key=str):
        if not any(_tail(kind).endswith("Position") for kind in graph.objects(link, RDF.type)):
            continue
        for place in graph.objects(link, _VIVO.relates):
            if place == person:
                continue
            above = place
            for _ in range(5):
                if (above, RDF.type, _VIVO.University) in graph:
                    return _label(graph, above)
                above = graph.value(above, _OBO.BFO_0000050) or above
            return _label(graph, place)
    return ""


def _orcid_of(graph: Graph, person: Node) -> str:
    return str(graph.value(person, _VIVO.orcidId) or "")


def _label(graph: Graph, node: Node) -> str:
    return plain(str(graph.value(node, RDFS.label) or ""))


def _tail(node: Node) -> str:
    return str(node).rstrip("/").rpartition("#" if "#" in str(node) else "/")[2]


_SCHOOLS = {"CollegeOrUniversity", "EducationalOrganization"}
_ARTICLES = {
    "ScholarlyArticle",
    "Article",
    "Book",
    "Chapter",
    "Report",
    "CreativeWork",
    "Dataset",
    "MedicalScholarlyArticle",
}
_OTHER_WORKS = {
    "Thesis": EvidenceKind.THESIS,
    "SoftwareSourceCode": EvidenceKind.TECHNOLOGY,
    "SoftwareApplication": EvidenceKind.TECHNOLOGY,
    "ResearchProject": EvidenceKind.PROJECT,
    "Grant": EvidenceKind.PROJECT,
    "MonetaryGrant": EvidenceKind.PROJECT,
}
Json = Mapping[str, Any]


def schema_org(data: bytes, findings: Findings) -> None:
    """Read schema.org's JSON-LD, from a file of its own or from an HTML page.

    Raises:
        SourceError: there is no JSON-LD in it.
    """
    things = list(_things(_json_ld(data)))
    known = {str(one["@id"]): one for one in things if "@id" in one and len(one) > 1}
    for row, thing in enumerate(things, start=1):
        kinds = _kinds(thing)
        if kinds & {"Person"}:
            findings.entries += 1
            _schema_person(row, thing, known, findings)
        elif (own := _own_id(thing, "lab")) is not None:
            findings.entries += 1
            findings.record(row, Kind.LABS, _schema_lab(row, own, thing, findings))
        elif kinds & _SCHOOLS and thing.get("name"):
            findings.entries += 1
            ror, name = findings.ror(row, _identifier(thing, "ror.org")), _words(thing.get("name"))
            key = _own_id(thing, "school") or (f"ror:{ror}" if ror else made_id("schema", name))
            names = {"name": name, "name_en": _in_english(thing.get("name"))}
            findings.record(row, Kind.SCHOOLS, {"id": key, **names, "ror": ror})
        elif kinds & _ARTICLES or kinds & set(_OTHER_WORKS):
            findings.entries += 1
            _schema_work(row, kinds, thing, known, findings)


def _json_ld(data: bytes) -> list[Any]:
    texts: list[bytes | str] = [data.removeprefix(b"\xef\xbb\xbf")]
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        page = lxml_html.fromstring(data)
        texts = [one.text_content() for one in page.iter("script") if one.get("type") == "application/ld+json"]
    try:
        found = [orjson.loads(text) for text in texts]
    except orjson.JSONDecodeError as error:
        place = T_("line %(line)s, character %(column)s", line=error.lineno, column=error.colno)
        raise SourceError(
            T_("is not JSON (%(place)s)", place=place), T_("give the file as it was downloaded")
        ) from None
    if not found:
        raise SourceError(T_("holds no JSON-LD"), T_("give JSON-LD of schema.org, or a page that carries it"))
    return found


def _things(value: Any, depth: int = 0) -> Iterator[Json]:
    """Yield every object that has a type, the outer before the inner."""
    if depth > _DEPTH_MAX:
        return
    if isinstance(value, list):
        for one in value:
            yield from _things(one, depth + 1)
    elif isinstance(value, Mapping):
        if "@type" in value:
            yield value
        for one in value.values():
            if isinstance(one, list | Mapping):
                yield from _things(one, depth + 1)


_DEPTH_MAX = 30


def _kinds(thing: Json) -> set[str]:
    said = thing.get("@type")
    return {str(one).rpartition("/")[2].rpartition(":")[2] for one in (said if isinstance(said, list) else [said])}


def _schema_person(row: int, thing: Json, known: Mapping[str, Json], findings: Findings) -> None:
    author = _schema_author(row, thing, known, findings)
    place = _whole(next(iter(_some(thing.get("affiliation")) + _some(thing.get("worksFor"))), {}), known)
    if author is None or not (thing.get("affiliation") or thing.get("worksFor") or thing.get("knowsAbout")):
        # An author named beside an article is no profile.
        findings.entries -= 1
        return
    findings.record(
        row,
        Kind.LABS,
        {
            "id": author.key,
            "name": author.name,
            "pi": author.name,
            "orcid": author.orcid,
            "school": _words(place.get("name")) if isinstance(place, Mapping) else _words(place),
            "summary": plain(_words(thing.get("description"))),
            "keywords": [
                _words(one.get("name") if isinstance(one, Mapping) else one) for one in _some(thing.get("knowsAbout"))
            ],
            "links": [one for one in _some(thing.get("url")) if isinstance(one, str) and one.startswith("http")],
        },
    )


def _schema_author(row: int, given: object, known: Mapping[str, Json], findings: Findings) -> Author | None:
    if isinstance(given, str):
        return Author(given)
    thing = _whole(given, known)
    if not isinstance(thing, Mapping):
        return None
    name = _words(thing.get("name")) or " ".join(
        _words(thing.get(part)) for part in ("givenName", "familyName") if thing.get(part)
    )
    number = findings.orcid(row, _identifier(thing, "orcid.org"))
    return Author(name, number, f"orcid:{number}" if number else made_id("schema", name)) if name else None


def _schema_lab(row: int, lab_id: str, thing: Json, findings: Findings) -> dict[str, Any]:
    """Return a lab that was given out here."""
    place = thing.get("parentOrganization")
    head = next((one for one in _some(thing.get("employee")) if isinstance(one, Mapping)), {})
    return {
        "id": lab_id,
        "name": _words(thing.get("name")),
        "name_en": _in_english(thing.get("name")),
        "pi": _words(head.get("name")),
        "orcid": findings.orcid(row, _identifier(head, "orcid.org")),
        "school": (_own_id(place, "school") or _words(place.get("name")))
        if isinstance(place, Mapping)
        else _words(place),
        "summary": _not_in_english(thing.get("description")),
        "summary_en": _in_english(thing.get("description")),
        "keywords": _some(thing.get("keywords")),
        "fields": _some(thing.get("knowsAbout")),
        "languages": _some(thing.get("knowsLanguage")),
        "links": _some(thing.get("url")),
    }


def _schema_work(row: int, kinds: set[str], thing: Json, known: Mapping[str, Json], findings: Findings) -> None:
    own = _own_id(thing, "evidence")
    doi = findings.doi(row, _identifier(thing, "doi.org") or ("" if own else _identifier(thing, "10.")))
    people = _some(thing.get("author")) + _some(thing.get("creator")) + _some(thing.get("member"))
    authors = [author for one in people if (author := _schema_author(row, one, known, findings)) is not None]
    title = _words(thing.get("headline") or thing.get("name"))
    kind = next((_OTHER_WORKS[one] for one in sorted(kinds) if one in _OTHER_WORKS), EvidenceKind.PAPER)
    said = str(thing.get("additionalType") or "")
    if said in set(EvidenceKind):
        kind = EvidenceKind(said)
    # What was given out here comes back as it was; others' texts may hold markup.
    as_read = str.strip if own else plain
    findings.work(
        row,
        [*authors, *_lab_of(thing)],
        id=own or (f"doi:{doi}" if doi else made_id("schema", title)),
        kind=kind.value,
        title=as_read(title),
        abstract=as_read(_words(thing.get("abstract") or thing.get("description"))),
        year=year_of(_words(thing.get("datePublished") or thing.get("dateCreated") or thing.get("startDate"))),
        doi=doi,
    )


def _lab_of(thing: Json) -> list[Author]:
    """Return the lab here whose work it was when it was given out."""
    source, scheme = thing.get("sourceOrganization"), own_scheme("lab") + ":"
    said = str(source.get("@id") or "") if isinstance(source, Mapping) else ""
    return [Author("", key=unquote(said.removeprefix(scheme)))] if said.startswith(scheme) else []


def _own_id(thing: Json, kind: str) -> str | None:
    """Return the id that a thing has here, if it was given out here."""
    for one in _some(thing.get("identifier")):
        if isinstance(one, Mapping) and one.get("propertyID") == own_scheme(kind):
            return _words(one.get("value")) or None
    return None


def _in_english(value: object) -> str:
    return next((_words(one) for one in _some(value) if isinstance(one, Mapping) and one.get("@language") == "en"), "")


def _not_in_english(value: object) -> str:
    said = [one for one in _some(value) if not (isinstance(one, Mapping) and one.get("@language") == "en")]
    return _words(said)


def _whole(given: object, known: Mapping[str, Json]) -> Any:
    return known.get(str(given.get("@id")), given) if isinstance(given, Mapping) and "@id" in given else given


def _some(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value in (None, "") else [value]


def _words(value: object) -> str:
    if isinstance(value, list):
        value = next(iter(value), "")
    if isinstance(value, Mapping):
        value = value.get("@value", "")
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _identifier(thing: Json, mark: str) -> str:
    """Return the identifier that contains `mark`, wherever schema.org lets it stand."""
    places = [thing.get("@id"), *_some(thing.get("identifier")), *_some(thing.get("sameAs")), *_some(thing.get("url"))]
    for one in places:
        said = _words(one.get("value") or one.get("@id")) if isinstance(one, Mapping) else _words(one)
        if mark in said or (isinstance(one, Mapping) and mark.partition(".")[0] in str(one.get("propertyID")).lower()):
            return said
    return ""
