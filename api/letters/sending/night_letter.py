"""The night's report as a document, as a page that needs nothing else, and as a mail.

In: a night as it stands. Out: JSON; an HTML page in both languages, without script, that a mail program shows too; one
message, the page with a short text beside it, and the signed heads of the ledger as a file. It exists so that one look
in the morning says whether somebody has to do something. It holds ids, counts and names of files, no text of any
record.
"""

from __future__ import annotations

from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from api.trail.nights import NIGHT_STATES, STEP_FIGURE_LABELS, STEP_STATES, Night, StepState
from indexer.instants import TAIPEI
from indexer.wording import T_, Bilingual

TEMPLATES = Path(__file__).parents[2] / "templates"


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
        names={name: words.both for name, words in STEP_FIGURE_LABELS.items()},
        attention=[step for step in night.steps if step.state in (StepState.FAILED, StepState.HELD, StepState.SKIPPED)],
        of=lambda name: next((step.details for step in night.steps if step.name == name), {}),
        clock=lambda moment: "—" if moment is None else f"{moment.astimezone(TAIPEI):%Y-%m-%d %H:%M:%S}",
        number=_number,
    )


def night_message(night: Night) -> EmailMessage:
    """Return the mail of a night, without the headers that every mail has."""
    zh, en = NIGHT_STATES[night.outcome].both
    message = EmailMessage()
    message["Subject"] = f"GLORIA Match {night.id}: {zh} / {en}"
    message.set_content(_text(night))
    message.add_alternative(report_page(night), subtype="html")
    signed = _signed_head(night)
    if signed:
        # A file and no text, so that no mail program wraps or quotes what was signed.
        message.add_attachment(
            orjson.dumps(signed) + b"\n",
            maintype="application",
            subtype="json",
            filename=f"ledger-head-{night.id}.json",
        )
    return message


def _signed_head(night: Night) -> dict[str, Any]:
    """Return the signed heads that a night wrote, empty if it wrote none."""
    details = next((step.details for step in night.steps if step.name == "heads"), {})
    return dict(details.get("signed") or {})


_KEEP_IT = Bilingual.of(
    T_(
        "The ledger's rows fit together; that nobody rewrote it as a whole, only what lies elsewhere proves. Keep the "
        "signed head of this mail, and prove with: gloria ledger verify --head FILE"
    )
)


def _text(night: Night) -> str:
    lines = []
    for step in night.steps:
        zh, en = STEP_STATES[step.state].both
        lines.append(f"{step.title.zh} {step.title.en}: {zh} {en}")
        if step.message is not None and step.state is not StepState.DONE:
            lines += [f"    {step.message.zh}", f"    {step.message.en}"]
    if _signed_head(night):
        lines += ["", _KEEP_IT.zh, _KEEP_IT.en]
    return "\n".join(lines) + "\n"


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
    return environment.get_template("nightly/report.html")
