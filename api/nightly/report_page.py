"""The night's report: one page that needs nothing else, and the same as a document.

In: a night as it stands. Out: an HTML page in both languages, without script,
that a mail program shows too; and JSON. It exists so that one look in the
morning says whether somebody has to do something. It holds ids, counts and
names of files, no text of any record.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from api.night_runs import REPORT_DOCUMENT, REPORT_PAGE, Night, StepState, night_path
from api.night_words import FIGURES, NIGHT_STATES, STEP_STATES
from indexer.durable_files import write_whole
from indexer.instants import TAIPEI

TEMPLATES = Path(__file__).parent.parent / "templates"


def report_document(night: Night) -> dict[str, Any]:
    """Return a night as plain values, with how it ended in front."""
    content = night.model_dump(mode="json")
    return {"id": content.pop("id"), "state": night.outcome.value, "total_s": night.total_s, **content}


def report_page(night: Night) -> str:
    """Return a night as a page."""
    return _template().render(
        night=night,
        document=report_document(night),
        said=NIGHT_STATES[night.outcome].both,
        states={state: words.both for state, words in STEP_STATES.items()},
        names={name: words.both for name, words in FIGURES.items()},
        attention=[step for step in night.steps if step.state in (StepState.FAILED, StepState.HELD, StepState.SKIPPED)],
        of=lambda name: next((step.details for step in night.steps if step.name == name), {}),
        clock=lambda moment: "—" if moment is None else f"{moment.astimezone(TAIPEI):%Y-%m-%d %H:%M:%S}",
        number=_number,
    )


def write_report(home: Path, night: Night) -> None:
    """Write both forms beside the night's state.

    Raises:
        OSError: the disk is full or not writable.
    """
    folder = night_path(home, night.id)
    write_whole(folder / REPORT_DOCUMENT, orjson.dumps(report_document(night), option=orjson.OPT_INDENT_2))
    write_whole(folder / REPORT_PAGE, report_page(night).encode())


def _number(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "✓", False: "–", None: "—"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("night_report.html")
