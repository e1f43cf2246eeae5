"""What the pages of results share: words for figures, states and programmes, what an entry is called, its files.

In: entries' documents, and forms with files. Out: what templates name them by, and the files that are stored by now.
It exists because the form of a report, the list and the answer to the committee show the same entry the same way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.datastructures import FormData

from api.pages.receiving import MAX_FILES, store_files
from api.pages.record_names import every
from api.pages.visiting import Visit
from api.problems import Refusal
from indexer.records import Alliance
from matcher.ledger.claims import PROGRAMME_LABELS
from matcher.ledger.details import read_details
from matcher.ledger.evidence import MAX_BYTES
from matcher.ledger.kpis import KPI_FACTS, Kpi
from matcher.ledger.steps import STATE_LABELS

PATHS_WITH_FILES = ("/results/new", "/results/supplements")
"""Their forms are received by `receiving`, only from who may send one."""
_KEPT = re.compile(r"([0-9a-f]{64}) (.*)")


def words(visit: Visit) -> dict[str, Any]:
    """Return what every template of results names things by."""
    return {
        "kpis": {kpi.value: facts.label.both for kpi, facts in KPI_FACTS.items()},
        "states": {state: label.both for state, label in STATE_LABELS.items()},
        "programmes": {one.value: label.both for one, label in PROGRAMME_LABELS.items()},
        "alliances": visit.look(lambda session, _: every(session, Alliance)),
        "title_of": title_of,
        "max_files": MAX_FILES,
        "max_mib": MAX_BYTES // 2**20,
    }


def title_of(entry: Mapping[str, Any]) -> str:
    """Return what a result is called in a list: the other party, else what it is known by."""
    kpi = Kpi(entry["kpi"])
    details = read_details(kpi, {name: value for name, value in entry["details"].items() if name != "kpi"})
    known = next((str(entry["details"][name]) for name in ("contract", "reference") if name in entry["details"]), "")
    return " · ".join(part for part in (details.party(), known) if part) or str(entry["natural_key"])


def kept_files(form: FormData) -> list[dict[str, str]]:
    """Return the files that were stored when the form was sent before."""
    found = (_KEPT.fullmatch(value) for value in form.getlist("kept") if isinstance(value, str))
    return [{"sha256": one[1], "name": one[2]} for one in found if one]


def stored(visit: Visit, kept: list[dict[str, str]]) -> Refusal | None:
    """Store the files that came with a form, after those that are `kept` already; return why that was refused."""

    def work() -> None:
        for item in store_files(visit):
            if item["sha256"] not in {one["sha256"] for one in kept}:
                kept.append(item)

    return visit.attempt(work)


def on_the_form(refused: Refusal) -> Refusal:
    """Return a refusal that blames a field of the form: a value of the details, else the part as a whole."""
    field = refused.field or ""
    if field == "natural_key":
        # It is made of several fields; those beside the other claim say which.
        return replace(refused, field=None)
    blamed = field.replace(".", "_") if field.startswith("details.") else field.partition(".")[0]
    return replace(refused, field=blamed or None)
