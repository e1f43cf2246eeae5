"""`gloria match` and `gloria run`: ranked, explained labs for a need, needs for a lab, and runs of all needs.

In: the records and the index of the home. Out: matches to read or as JSON, or
a TREC run in a file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO
from unicodedata import normalize

import typer

from api.opening import read_settings
from api.refusals import RefusedError
from api.screen import Screen, write_document
from indexer.wording import P_, T_, either

if TYPE_CHECKING:
    from matcher.pairings import Matcher

_PROMINENCE = {"high": T_("high"), "medium": P_("matching", "medium"), "low": T_("low"), "": T_("not stated")}


def match(
    context: typer.Context,
    need_id: Annotated[str | None, typer.Argument(help="The id of a need.")] = None,
    lab: Annotated[str | None, typer.Option(help="The other direction: needs that this lab should hear of.")] = None,
    top: Annotated[str, typer.Option(help="How many to show: a number or all.")] = "5",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Show the best labs for a need, with reasons."""
    if (need_id is None) == (lab is None):
        raise typer.BadParameter(T_("give the id of a need, or --lab with the id of a lab"), param_hint="NEED_ID")
    from api.documents import lab_document, match_document
    from api.printing import print_lab_matches, print_match
    from matcher.pairings import Matcher

    screen, depth = Screen.of(context), number_or_all(top)
    matcher = Matcher.open(read_settings())
    if lab is not None:
        lab_id = _stored(lab)
        matches = matcher.match_lab(lab_id, list(matcher.needs.values()), top=depth or len(matcher.needs))
        if as_json:
            write_document(lab_document(matcher, lab_id, matches))
        else:
            print_lab_matches(screen, matcher, lab_id, matches)
        return
    result = matcher.match(matcher.need(_stored(need_id or "")), top=depth or len(matcher.labs))
    if as_json:
        write_document(match_document(matcher, result))
    else:
        print_match(screen, matcher, result)


def _stored(written: str) -> str:
    """Return an id as the import stores it: full-width letters become plain ones."""
    return normalize("NFKC", written).strip()


def number_or_all(value: str) -> int | None:
    """Read `--top`: a number from 1 on, or `all` (None)."""
    if value == "all":
        return None
    if not value.isascii() or not value.isdigit() or not 0 < int(value) < 2**31:
        raise typer.BadParameter(T_("%(value)r is neither a number from 1 on nor all", value=value), param_hint="--top")
    return int(value)


def run(
    context: typer.Context,
    top: Annotated[str, typer.Option(help="How many labs per need: a number or all.")],
    out: Annotated[Path, typer.Option(help="File to write; an existing one is replaced when all is done.")],
) -> None:
    """Rank the labs for every need; lines of `need Q0 lab rank score tag`."""
    depth = number_or_all(top)
    from matcher.pairings import Matcher
    from matcher.run import write_run

    screen = Screen.of(context)
    matcher = Matcher.open(read_settings())
    if not matcher.needs:
        raise RefusedError(T_("no needs are stored; import some first: gloria import needs.jsonl"))
    for warning in matcher.warnings:
        screen.warn(either(warning.zh, warning.en))
    with replaced(out) as file, screen.progress() as tell:
        shown = write_run(matcher, depth, file, progress=lambda done, total: tell("match", done, total))
    _say_exposure(screen, matcher, shown)


@contextmanager
def replaced(path: Path) -> Iterator[TextIO]:
    """Open a file for writing that takes the place of `path` only once it is complete."""
    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        return
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _say_exposure(screen: Screen, matcher: Matcher, shown: Counter[str]) -> None:
    """Say how often schools of each prominence are shown, beside their share of all labs."""
    lines, labs = shown.total(), _labs_by_prominence(matcher)
    parts = [
        f"{screen.text(names)} {shown[key] / lines:.0%} ({labs[key] / labs.total():.0%})"
        for key, names in _PROMINENCE.items()
        if lines and labs[key]
    ]
    listed = ", ".join(parts)
    screen.note(
        T_(
            "%(lines)s lines; shown by prominence of the school (in brackets: share of all labs): %(listed)s",
            lines=lines,
            listed=listed,
        ),
    )


def _labs_by_prominence(matcher: Matcher) -> Counter[str]:
    """Return how many labs belong to schools of each prominence ("" if not known)."""
    schools = (matcher.schools.get(lab.school or "") for lab in matcher.labs.values())
    return Counter((school.prominence if school else None) or "" for school in schools)
