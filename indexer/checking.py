"""From the values of one row to a checked record and what was wrong with it.

In: the kind and the raw values of a row. Out: the record (or None) and the
faults, as values. It exists because a file with one bad row must neither stop
the import nor lose its good rows: a fault is something to report, not an
exception.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from indexer.exchange import MODELS, AskIn, EvidenceIn, Record
from indexer.plain_text import TextError, printable, shown
from indexer.values import identifier, is_blank
from indexer.vocabulary import Kind
from indexer.wording import T_, recognised

Severity = Literal["error", "warning"]

MAX_EVIDENCE = 5_000
MAX_ASKS = 200
_UNKNOWN_TOLD = 50
"""Names of fields nobody knows that one row is told."""
_ITEMS: dict[Kind, tuple[str, type[EvidenceIn] | type[AskIn], int]] = {
    Kind.LABS: ("evidence", EvidenceIn, MAX_EVIDENCE),
    Kind.NEEDS: ("asks", AskIn, MAX_ASKS),
}


@dataclass(frozen=True, slots=True)
class RowProblem:
    """Something to tell the user about one row; an error means that the row or an item of it was refused.

    `row` is what the user sees in an editor or a spreadsheet, 0 for the file as a whole. Elements
    of lists in `field` count from 1.
    """

    file: str
    row: int
    field: str
    wrong: str
    right: str
    severity: Severity = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.row}" if self.row else self.file
        field = f" {self.field}" if self.field else ""
        return T_("%(place)s: %(wrong)s; %(right)s", place=place + field, wrong=self.wrong, right=self.right)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field, and what would be right."""

    field: str
    wrong: str
    right: str

    def at(self, file: str, row: int) -> RowProblem:
        """Return the fault as a problem of one row of a file."""
        return RowProblem(file, row, self.field, self.wrong, self.right)


@dataclass(slots=True)
class Checked:
    """A record, or None if the row is refused; its faults; and the names of fields nobody knows."""

    record: Record | None = None
    faults: list[Fault] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def check(kind: Kind, given: object) -> Checked:
    """Check one record of the exchange format.

    Args:
        kind: what the row is; evidence rows have their `lab` taken off before.
        given: the row's values, as JSON or a flat row gave them.

    Returns:
        The record without its bad evidence items or asks, if the rest is right.
    """
    result = Checked()
    if not isinstance(given, Mapping):
        result.faults.append(
            Fault("", T_("%(given)s is not an object", given=shown(given)), T_('give one such as {"id": "lab-1"}'))
        )
        return result
    values: dict[str, Any] = dict(given)
    _note_unknown(MODELS[kind], values, "", result.unknown)
    if kind in _ITEMS:
        _check_items(kind, values, result)
    try:
        record = MODELS[kind].model_validate(values)
    except ValidationError as error:
        result.faults.extend(_faults(error))
    else:
        if not any(fault.field == _item_field(kind) for fault in result.faults):
            result.record = record  # type: ignore[assignment]
    return result


def _item_field(kind: Kind) -> str | None:
    return _ITEMS[kind][0] if kind in _ITEMS else None


def _check_items(kind: Kind, values: dict[str, Any], result: Checked) -> None:
    """Replace the raw evidence or asks in `values` by the good ones among them."""
    name, model, most = _ITEMS[kind]
    given = values.get(name)
    if is_blank(given):
        return
    values[name] = []
    if not isinstance(given, list):
        result.faults.append(
            Fault(name, T_("%(given)s is not a list", given=shown(given)), T_("give a list of objects"))
        )
        return
    if len(given) > most:
        result.faults.append(
            Fault(
                name,
                T_("has %(elements)s elements", elements=f"{len(given):,}"),
                T_("give at most %(most)s", most=f"{most:,}"),
            )
        )
        return
    seen: dict[str, int] = {}
    for n, item in enumerate(given, start=1):
        place = f"{name}[{n}]"
        if isinstance(item, Mapping):
            _note_unknown(model, item, f"{name}.", result.unknown)
        try:
            good = model.model_validate(_with_id(item, values.get("id"), n) if model is EvidenceIn else item)
        except ValidationError as error:
            result.faults.extend(_faults(error, place))
            continue
        if isinstance(good, EvidenceIn) and (first := seen.setdefault(good.id, n)) != n:
            wrong = T_("%(id)s is already the id of %(name)s[%(first)s]", id=shown(good.id), name=name, first=first)
            result.faults.append(Fault(f"{place}.id", wrong, T_("give each its own id")))
            continue
        values[name].append(good)


def _with_id(item: object, lab: object, n: int) -> object:
    return {**item, "id": fallback_id(lab, n)} if isinstance(item, Mapping) and is_blank(item.get("id")) else item


def fallback_id(lab: object, n: int) -> str:
    """Return the id of a lab's n-th evidence item (from 1) that was given without one."""
    try:
        return f"{identifier(lab)}#{n}"
    except TextError:
        return f"#{n}"


def _note_unknown(model: type[BaseModel], given: Mapping[Any, Any], prefix: str, unknown: list[str]) -> None:
    for key in given:
        if len(unknown) >= _UNKNOWN_TOLD:
            return
        if key not in model.model_fields:
            name = prefix + printable(str(key)[:60])
            if name not in unknown:
                unknown.append(name)


def _faults(error: ValidationError, prefix: str = "") -> Iterator[Fault]:
    for detail in error.errors(include_url=False, include_input=False):
        cause = detail.get("ctx", {}).get("error")
        place = _path(prefix, detail["loc"])
        if isinstance(cause, TextError):
            name = getattr(cause, "field", "")
            yield Fault(f"{place}.{name}".strip(".") if name else place, cause.wrong, cause.right)
        elif detail["type"] == "missing":
            yield Fault(place, T_("is missing"), T_("give one"))
        else:
            yield Fault(
                place, T_("is not accepted (%(msg)s)", msg=recognised(printable(detail["msg"]))), T_("see the template")
            )


def _path(prefix: str, loc: tuple[int | str, ...]) -> str:
    path = prefix
    for part in loc:
        path += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return path.strip(".")
