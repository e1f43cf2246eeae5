"""One row against its kind: a typed record, or what is wrong with it.

In: one JSON object, or one flat row already split into values. Out: the record, or None, and the faults, as values.
It exists because a file with one bad row must neither stop the import nor lose its good rows: a fault is something
to report, not an exception.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ValidationError,
)

from indexer.plain_text import TextError, printable, shown
from indexer.records.exchange.declaring import RecordIn
from indexer.records.exchange.kinds import MODELS, AskIn, EvidenceIn, Record
from indexer.records.values import identifier, is_blank
from indexer.vocabulary import (
    Confidentiality,
    Kind,
)
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
    severity: Severity = "error"

    def at(self, file: str, row: int) -> RowProblem:
        """Return the fault as a problem of one row of a file."""
        return RowProblem(file, row, self.field, self.wrong, self.right, self.severity)


@dataclass(slots=True)
class Checked:
    """A record, or None if the row is refused; its faults; the names of fields nobody knows.

    `given` are the fields that the record says something of, if only that they are empty.
    """

    record: Record | None = None
    faults: list[Fault] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    given: frozenset[str] = frozenset()


_NEEDED_WHOLE = frozenset({"id", "name", "conflicts", "country", "excluded_labs", "will_not_do", "en", "zh"})
"""Fields whose bad value costs the record: it would be another one without it, or would protect somebody less."""


def costs_record(name: str) -> bool:
    """Whether a bad value of a field costs the whole record."""
    return name in _NEEDED_WHOLE or name == "lab"


_NARROWEST = {"confidentiality": Confidentiality.CONFIDENTIAL.value}
"""What stands in for a bad value that says who may read."""
_MOST_MENDED = 60
"""Bad values of one record that are put aside one by one; who has more has another list in mind."""


def check(kind: Kind, given: object, *, lenient: bool = False, whole: bool = True) -> Checked:
    """Check one record of the exchange format.

    Args:
        kind: what the row is; evidence rows have their `lab` taken off before.
        given: the row's values, as JSON or a flat row gave them.
        lenient: a bad value of an optional field is put aside with a warning.
        whole: otherwise rules over several fields wait until what is stored of the record is known.

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
    if lenient and result.unknown and "other" in MODELS[kind].model_fields:
        _keep_unknown(MODELS[kind], values)
    if kind in _ITEMS:
        _check_items(kind, values, result, lenient=lenient)
    given_names = None if whole else frozenset(values)
    record, faults = _validated(MODELS[kind], values, "", lenient=lenient, given=given_names)
    result.faults.extend(faults)
    if record is not None and not any(fault.field == _item_field(kind) for fault in result.faults):
        result.record = record  # type: ignore[assignment]
    result.given = frozenset(values.keys() & MODELS[kind].model_fields.keys())
    return result


def _validated(
    model: type[RecordIn], values: Any, prefix: str, *, lenient: bool, given: frozenset[str] | None = None
) -> tuple[RecordIn | None, list[Fault]]:
    """Return the record and its faults; bad values that may be put aside leave `values`."""
    warned: list[Fault] = []
    for _ in range(_MOST_MENDED):
        try:
            return model.model_validate(values, context={"given": given}), warned
        except ValidationError as error:
            faults = list(_faults(error, prefix))
            details = error.errors(include_url=False, include_input=False)
        if not lenient or not isinstance(values, dict):
            return None, [*warned, *faults]
        # From the last one on, so that the places of elements before it stay.
        aside = [_put_aside(values, detail) for detail in reversed(details)][::-1]
        if not all(aside):
            return None, [*warned, *(fault for fault, done in zip(faults, aside, strict=True) if not done)]
        warned += [replace(fault, severity="warning") for fault in faults]
    return None, [*warned, *faults]


def _put_aside(values: dict[str, Any], detail: Mapping[str, Any]) -> bool:
    """Take a bad value, or a bad element of a list, out of the values; say whether that may be done."""
    loc = tuple(detail["loc"]) or (getattr(detail.get("ctx", {}).get("error"), "field", ""),)
    name = str(loc[0])
    if name in _NEEDED_WHOLE or is_blank(values.get(name)):
        return False
    if name in _NARROWEST:
        values[name] = _NARROWEST[name]
        return True
    if len(loc) > 1 and isinstance(loc[1], int) and isinstance(values[name], list | tuple):
        kept = [element for element in values[name] if not is_blank(element)]
        values[name] = kept[: loc[1]] + kept[loc[1] + 1 :]
        return True
    del values[name]
    return True


def _item_field(kind: Kind) -> str | None:
    return _ITEMS[kind][0] if kind in _ITEMS else None


def _check_items(kind: Kind, values: dict[str, Any], result: Checked, *, lenient: bool) -> None:
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
        raw = _with_id(item, values.get("id"), n) if model is EvidenceIn else item
        raw = dict(raw) if isinstance(raw, Mapping) else raw
        good, faults = _validated(model, raw, place, lenient=lenient and model is EvidenceIn)
        result.faults.extend(faults)
        if good is None:
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


def _keep_unknown(model: type[BaseModel], values: dict[str, Any]) -> None:
    """Move what is not ours under `other`, so that it is shown and not lost."""
    foreign = {str(key): values.pop(key) for key in list(values) if key not in model.model_fields}
    kept = {key: _as_other(value) for key, value in foreign.items() if not is_blank(value) and value not in ([], {})}
    if kept:
        before = values.get("other")
        values["other"] = {**(before if isinstance(before, dict) else {}), **kept}


def _as_other(value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return printable(str(type(value).__name__))


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
