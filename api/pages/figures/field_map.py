"""The map of the field: a picture of labs and needs, and the same in words.

In: the map as the API answers it, and what is wanted of it: a field, labs of a region, a type of school or one
school, labs or needs alone, unmet needs only. Out: the picture, which needs no script, what its signs mean with how
many there are, its areas, and tables with what lies nearest to each need. It exists in both forms because a picture
says at a glance where labs are missing, and a table says it to everybody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Response
from markupsafe import Markup
from sqlalchemy import select as select_columns
from sqlmodel import Session, col

from api.access.policy import Action, Resource
from api.pages.desk.views import views_shown
from api.pages.figures.map_picture import (
    FIELDS,
    KIND_LABELS,
    MapName,
    MapPoint,
    PointKind,
    known_field,
    legend_symbol,
    map_picture,
)
from api.pages.shell.record_names import Names, all_of, names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_, Lang, Wording, lang_of, term
from api.requests.capacity import ThreadedRoute
from api.routes.field_map import read_field_map
from indexer.records.record_tables import Company, School
from indexer.vocabulary import Region, ResearchField, SchoolType, find
from matcher.ranking.ranker import Band
from matcher.review.desk.saved_views import ViewedList
from matcher.review.intake import OPEN_STATES

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

DRAWN_LABS = 1_500
"""Labs in the picture: with more it would take a browser longer than a glance."""
LISTED = 200
ON_MAP = 2
"""Words of an area's name in the picture; its table has all."""
_NEAREST = 3
_Document = dict[str, Any]
_STANDINGS = {
    PointKind.MET: N_("a strong lab"),
    PointKind.THIN: N_("plausible labs at best"),
    PointKind.UNMET: N_("no suitable lab"),
    PointKind.OTHER: N_("not known"),
}
_LABS, _NEEDS = "labs", "needs"


@dataclass(frozen=True)
class _School:
    """What the map asks of a school."""

    name: str
    name_en: str
    region: str | None
    type: SchoolType | None


@dataclass(frozen=True)
class _Wanted:
    """What is wanted of the map; empty texts and False want everything."""

    field: str
    region: str
    type: str
    school: str
    things: str
    unmet: bool

    @property
    def is_narrowed(self) -> bool:
        return any((self.field, self.region, self.type, self.school, self.things, self.unmet))

    def has(self, school: _School | None, school_id: str | None) -> bool:
        """Whether a lab of a school is wanted."""
        return (
            (not self.school or self.school == school_id)
            and (not self.region or (school is not None and school.region == self.region))
            and (not self.type or (school is not None and school.type == self.type))
        )


@router.get("/map")
def show_map(
    visit: Annotated[Visit, Depends(visiting(Resource.FIELD_MAP, Action.READ))],
    field: Annotated[str, Query(max_length=50)] = "",
    region: Annotated[str, Query(max_length=50)] = "",
    type_: Annotated[str, Query(alias="type", max_length=50)] = "",
    school: Annotated[str, Query(max_length=200)] = "",
    things: Annotated[str, Query(max_length=10)] = "",
    unmet: Annotated[str, Query(max_length=5)] = "",
) -> Response:
    """Show the map, all of it or what is wanted of it; to htmx only what filters change."""
    wanted = _Wanted(
        field=field if field in set(ResearchField) else "",
        region=region if region in set(Region) else "",
        type=type_ if type_ in set(SchoolType) else "",
        school=school,
        things=things if things in (_LABS, _NEEDS) else "",
        unmet=unmet == "yes",
    )
    chosen = ResearchField(wanted.field) if wanted.field else None
    found = visit.document(read_field_map, field=chosen, unmet=wanted.unmet)
    schools = visit.look(lambda session, _: _schools(session))
    labs = [lab for lab in found["labs"] if wanted.has(schools.get(lab["school"]), lab["school"])]
    needs = [need for need in found["needs"] if need["state"] in OPEN_STATES]
    kinds = {need["need_id"]: _kind(need) for need in needs}
    needs.sort(key=lambda need: (-list(PointKind).index(kinds[need["need_id"]]), need["need_id"]))
    shown = _Shown(labs if wanted.things != _NEEDS else [], needs if wanted.things != _LABS else [], kinds)
    companies = visit.look(lambda session, _: names(session, Company, all_of(needs, "company")))
    context = _context(Wording(lang_of(visit.request)), found, shown, schools, companies)
    template = "figures/field_map_found.html" if visit.by_htmx else "figures/field_map.html"
    choices = {"fields": list(ResearchField), "regions": list(Region), "types": list(SchoolType)}
    return visit.show(
        template,
        wanted=wanted,
        choices=choices,
        all_schools=_with_labs(schools, found["labs"], wanted),
        views=views_shown(visit, ViewedList.MAP, visit.request.url.query),
        **context,
    )


@dataclass(frozen=True)
class _Shown:
    """The labs and needs that are shown, and what each need is drawn as."""

    labs: Sequence[_Document]
    needs: Sequence[_Document]
    kinds: Mapping[str, PointKind]

    @property
    def drawn_labs(self) -> Sequence[_Document]:
        """The labs to draw: all, or so many at even distances in the order of their ids."""
        if len(self.labs) <= DRAWN_LABS:
            return self.labs
        return [self.labs[int(row)] for row in np.linspace(0, len(self.labs) - 1, DRAWN_LABS)]


def _context(
    wording: Wording, found: _Document, shown: _Shown, schools: Mapping[str, _School], companies: Names
) -> _Document:
    """Return what the template shows of a map."""
    drawn = shown.drawn_labs
    needs = shown.needs[:LISTED]
    areas = _areas(wording, found["areas"], shown)
    return {
        "found": found,
        "needs": needs,
        "labs": shown.labs[:LISTED],
        "totals": {"needs": len(shown.needs), "labs": len(shown.labs), "drawn": len(drawn)},
        "standings": {
            need["need_id"]: (shown.kinds[need["need_id"]], _STANDINGS[shown.kinds[need["need_id"]]]) for need in needs
        },
        "near": _nearest(needs, shown.labs),
        "schools": schools,
        "companies": companies,
        "areas": areas,
        "legend": _legend(wording, shown),
        "picture": _picture(wording, drawn, shown, schools, companies, areas) if drawn or shown.needs else None,
    }


def _schools(session: Session) -> dict[str, _School]:
    columns = (col(School.id), col(School.name), col(School.name_en), col(School.region), col(School.kind))
    rows = session.connection().execute(select_columns(*columns).order_by(col(School.name)))
    return {
        id_: _School(name, name_en or "", region, find(SchoolType, kind)) for id_, name, name_en, region, kind in rows
    }


def _with_labs(schools: Mapping[str, _School], labs: Sequence[_Document], wanted: _Wanted) -> dict[str, _School]:
    """Return the schools to choose from: those with labs here, and the chosen one."""
    having = {lab["school"] for lab in labs} | {wanted.school}
    return {id_: school for id_, school in schools.items() if id_ in having}


def _kind(need: _Document) -> PointKind:
    if need["is_unmet"]:
        return PointKind.UNMET
    kinds = {Band.STRONG: PointKind.MET, Band.PLAUSIBLE: PointKind.THIN}
    return PointKind.OTHER if need["best_band"] is None else kinds[Band(need["best_band"])]


def _nearest(needs: Sequence[_Document], labs: Sequence[_Document]) -> dict[str, list[_Document]]:
    """Return for each need the labs that lie nearest to it on the map."""
    if not labs:
        return {need["need_id"]: [] for need in needs}
    places = np.array([(lab["x"], lab["y"]) for lab in labs])
    found = {}
    for need in needs:
        far = np.hypot(places[:, 0] - need["x"], places[:, 1] - need["y"])
        found[need["need_id"]] = [labs[int(row)] for row in np.argsort(far, kind="stable")[:_NEAREST]]
    return found


@dataclass(frozen=True)
class _Area:
    """An area as it is shown: its words in the reader's language, its field, where, and what of it is shown."""

    words: tuple[str, ...]
    field: str | None
    x: float
    y: float
    labs: int
    needs: int
    unmet: int


def _areas(wording: Wording, areas: Sequence[_Document], shown: _Shown) -> list[_Area]:
    """Return the areas in which something is shown; where none was found, the fields in their place."""
    labs = Counter(lab["area"] for lab in shown.labs)
    needs = Counter(need["area"] for need in shown.needs)
    unmet = Counter(need["area"] for need in shown.needs if need["is_unmet"])
    found = []
    for number, area in enumerate(areas):
        words = area["words"] if wording.lang is Lang.ZH else area["words_en"]
        if labs[number] or needs[number]:
            counts = (labs[number], needs[number], unmet[number])
            found.append(_Area(tuple(words), area["field"], area["x"], area["y"], *counts))
    return found if areas else _fields_as_areas(shown)


def _fields_as_areas(shown: _Shown) -> list[_Area]:
    """Return each field in the middle of its labs."""
    found = []
    for field in ResearchField:
        labs = [lab for lab in shown.labs if lab["fields"][:1] == [field]]
        needs = [need for need in shown.needs if need["fields"][:1] == [field]]
        if labs:
            x, y = (float(np.median([lab[axis] for lab in labs])) for axis in ("x", "y"))
            unmet = sum(need["is_unmet"] for need in needs)
            found.append(_Area((), field, x, y, len(labs), len(needs), unmet))
    return found


def _legend(wording: Wording, shown: _Shown) -> _Document:
    """Return what the signs mean and how many of each are shown: kinds, and fields of the labs."""
    kinds = Counter(shown.kinds[need["need_id"]] for need in shown.needs)
    kinds[PointKind.LAB] = len(shown.labs)
    fields = Counter(known_field(next(iter(lab["fields"]), None)) for lab in shown.labs)
    return {
        "kinds": [
            (legend_symbol(kind), wording.text(KIND_LABELS[kind]), kinds[kind])
            for kind in reversed(PointKind)
            if kinds[kind] or kind in (PointKind.UNMET, PointKind.LAB)
        ],
        "fields": [
            (legend_symbol(PointKind.LAB, field, (said := wording.text(FIELDS[field][1]))[0]), said[2:], count)
            for field, count in fields.most_common()
        ],
    }


def _picture(
    wording: Wording,
    labs: Sequence[_Document],
    shown: _Shown,
    schools: Mapping[str, _School],
    companies: Names,
    areas: Sequence[_Area],
) -> Markup:
    points = [_lab_point(wording, lab, schools.get(lab["school"])) for lab in labs]
    points += [_need_point(wording, need, shown.kinds[need["need_id"]], companies) for need in shown.needs]
    return map_picture(
        points,
        [_name(wording, area) for area in areas],
        is_chinese=wording.lang is Lang.ZH,
        title=wording.text(N_("Map of labs and needs")),
        description=wording.text(N_("What lies near each other is about the same. The tables below say the same.")),
    )


def _name(wording: Wording, area: _Area) -> MapName:
    field = "" if area.field is None else wording.text(term(area.field))
    words = ("、" if wording.lang is Lang.ZH else " · ").join(area.words[:ON_MAP]) or field
    return MapName(area.x, area.y, words[:1].upper() + words[1:], field if area.words else "", area.labs + area.needs)


def _lab_point(wording: Wording, lab: _Document, school: _School | None) -> MapPoint:
    at = "" if school is None else wording.plain(school.name, school.name_en)
    lines = (wording.plain(lab["name"], lab["name_en"]), at, _fields(wording, lab))
    return MapPoint(lab["x"], lab["y"], PointKind.LAB, _first_field(lab), lines, f"/labs/{lab['lab_id']}")


def _need_point(wording: Wording, need: _Document, kind: PointKind, companies: Names) -> MapPoint:
    title = need["title"] or wording.text(N_("Confidential need"))
    company = wording.plain(*companies.get(need["company"] or "", ("", "")))
    best = wording.text(N_("Best fit: %(standing)s")) % {"standing": wording.text(_STANDINGS[kind])}
    lines = (title, company, _fields(wording, need), best)
    return MapPoint(need["x"], need["y"], kind, _first_field(need), lines, f"/needs/{need['need_id']}")


def _fields(wording: Wording, one: _Document) -> str:
    between = "、" if wording.lang is Lang.ZH else ", "
    return between.join(wording.text(term(code)) for code in one["fields"])


def _first_field(one: _Document) -> str | None:
    return next(iter(one["fields"]), None)
