"""The map of the field: a picture of labs and needs, and the same in words.

In: the map as the API answers it, a field and whether only unmet needs are
wanted. Out: the picture, which needs no script, and tables with what lies
nearest to each need. It exists in both forms because a picture says at a glance
where labs are missing, and a table says it to everybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Response
from markupsafe import Markup

from api.access.policy import Action, Resource
from api.documents.charts import MapPoint, PointKind, field_map_chart
from api.pages.shell.drawing import drawn
from api.pages.shell.record_names import Names, all_of, names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_, Wording, lang_of, term
from api.requests.capacity import ThreadedRoute
from api.routes.field_map import read_field_map
from indexer.records.record_tables import Company, School
from indexer.vocabulary import ResearchField
from matcher.ranking.ranker import Band
from matcher.review.intake import OPEN_STATES

router = APIRouter(include_in_schema=False, route_class=ThreadedRoute)

DRAWN_LABS = 3_000
"""Labs in the picture: with more it would take a browser longer than a glance."""
LISTED = 200
_NEAREST = 3
_Document = dict[str, Any]
_STANDINGS = {
    PointKind.MET: N_("a strong lab"),
    PointKind.THIN: N_("plausible labs at best"),
    PointKind.UNMET: N_("no suitable lab"),
    PointKind.OTHER: N_("not known"),
}


@router.get("/map")
def show_map(
    visit: Annotated[Visit, Depends(visiting(Resource.FIELD_MAP, Action.READ))],
    field: Annotated[str, Query(max_length=50)] = "",
    unmet: Annotated[str, Query(max_length=5)] = "",
) -> Response:
    """Show the map, all of it or one field, with all open needs or the unmet ones."""
    chosen = next((code for code in ResearchField if code.value == field), None)
    only_unmet = unmet == "yes"
    found = visit.document(read_field_map, field=chosen, unmet=only_unmet)
    needs = [need for need in found["needs"] if need["state"] in OPEN_STATES]
    kinds = {need["need_id"]: _kind(need) for need in needs}
    needs.sort(key=lambda need: (-list(PointKind).index(kinds[need["need_id"]]), need["need_id"]))
    schools = visit.look(lambda session, _: names(session, School, all_of(found["labs"], "school")))
    companies = visit.look(lambda session, _: names(session, Company, all_of(needs, "company")))
    labs = _thinned(found["labs"])
    wording = Wording(lang_of(visit.request))
    context: _Document = {
        "found": found,
        "needs": needs[:LISTED],
        "labs": found["labs"][:LISTED],
        "totals": {"needs": len(needs), "labs": len(found["labs"]), "drawn": len(labs)},
        "counts": {kind: sum(one is kind for one in kinds.values()) for kind in PointKind},
        "standings": {need_id: (kind, _STANDINGS[kind]) for need_id, kind in kinds.items()},
        "near": _nearest(needs[:LISTED], found["labs"]),
        "schools": schools,
        "companies": companies,
        "drawing": _drawing(wording, labs, needs, kinds, schools) if labs or needs else None,
        "field": "" if chosen is None else chosen.value,
        "only_unmet": only_unmet,
        "fields": [code.value for code in ResearchField],
    }
    return visit.show("figures/field_map.html", **context)


def _kind(need: _Document) -> PointKind:
    if need["is_unmet"]:
        return PointKind.UNMET
    kinds = {Band.STRONG: PointKind.MET, Band.PLAUSIBLE: PointKind.THIN}
    return PointKind.OTHER if need["best_band"] is None else kinds[Band(need["best_band"])]


def _thinned(labs: Sequence[_Document]) -> Sequence[_Document]:
    """Return the labs to draw: all, or so many at even distances in the order of their ids."""
    if len(labs) <= DRAWN_LABS:
        return labs
    return [labs[int(row)] for row in np.linspace(0, len(labs) - 1, DRAWN_LABS)]


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


def _drawing(
    wording: Wording,
    labs: Sequence[_Document],
    needs: Sequence[_Document],
    kinds: Mapping[str, PointKind],
    schools: Names,
) -> Markup:
    points = [_lab_point(wording, lab, schools) for lab in labs]
    points += [_need_point(wording, need, kinds[need["need_id"]]) for need in needs]
    picture = drawn(
        field_map_chart(points, wording.lang.value),
        name="field-map",
        title=wording.text(N_("Map of labs and needs")),
        description=wording.text(N_("What lies near each other is about the same. The tables below say the same.")),
    )
    # Hundreds of stops of the tab key, when the tables have the same links in order.
    return Markup(str(picture).replace("<a ", '<a tabindex="-1" '))  # noqa: S704 (escaped already, and only that changed)


def _lab_point(wording: Wording, lab: _Document, schools: Names) -> MapPoint:
    said = [wording.plain(lab["name"], lab["name_en"]), wording.plain(*schools.get(lab["school"] or "", ("", "")))]
    return _point(wording, lab, PointKind.LAB, said, f"/labs/{lab['lab_id']}")


def _need_point(wording: Wording, need: _Document, kind: PointKind) -> MapPoint:
    title = need["title"] or wording.text(N_("Confidential need"))
    return _point(wording, need, kind, [title, wording.text(_STANDINGS[kind])], f"/needs/{need['need_id']}")


def _point(wording: Wording, one: _Document, kind: PointKind, said: Sequence[str], href: str) -> MapPoint:
    fields = [wording.text(term(code)) for code in one["fields"]]
    words = " · ".join(part for part in (*said, *fields) if part)
    return MapPoint(one["x"], one["y"], kind, next(iter(one["fields"]), None), words, href)
