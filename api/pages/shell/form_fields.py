"""Fields of forms as the exchange format declares them: which are asked, in which step, and what was typed.

In: the declared fields of a need or a lab, a form as it was sent, and stored values. Out: fields to be shown, the
values as typed, and the body that the API takes. It exists so that a field is declared once, and that no page names
the fields of a record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from starlette.datastructures import FormData

from indexer.records.exchange import NeedIn
from indexer.records.field_notes import DeclaredField, Widget, declared
from indexer.records.values import FieldError, money
from indexer.vocabulary import AskKind

_BETWEEN = re.compile(r"[,，、;；\n]")
MAX_TYPED = 20_000
"""Characters of one field that a form takes."""
_MAX_PARTS = 200
_NONE_IF_EMPTY = (Widget.AMOUNT, Widget.COUNT, Widget.DAY, Widget.CHOICE)


def asked_fields(record: type[BaseModel], step: str | None = None) -> tuple[DeclaredField, ...]:
    """Return the fields of a record that forms ask for, in their order; with a step only those of that step."""
    asked = (one for one in declared(record) if one.note.question is not None)
    return tuple(one for one in asked if step is None or one.asked.step == step)


def typed(form: FormData, fields: Sequence[DeclaredField]) -> dict[str, Any]:
    """Return the fields of a form as they were typed."""
    found: dict[str, Any] = {}
    for one in fields:
        if one.asked.widget is Widget.ASKS:
            kinds, texts = _all(form, "ask_kind"), _all(form, "ask_text")
            found[one.name] = [{"kind": kind, "text": text} for kind, text in zip(kinds, texts, strict=False)]
        elif one.asked.widget is Widget.CHECKBOXES:
            found[one.name] = _all(form, one.name)
        else:
            value = form.get(one.name, "")
            found[one.name] = value[:MAX_TYPED] if isinstance(value, str) else ""
    return found


def _all(form: FormData, name: str) -> list[str]:
    return [value[:MAX_TYPED] for value in form.getlist(name) if isinstance(value, str)][:_MAX_PARTS]


def shown(fields: Sequence[DeclaredField], content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was typed, or a record of the API, as a form shows it: words of a list in one text."""
    found: dict[str, Any] = {}
    for one in fields:
        value = content.get(one.name)
        if value in (None, ""):
            value = "" if one.default is None else one.default
        if isinstance(value, list) and one.asked.widget in (Widget.WORDS, Widget.LINES, Widget.LANGUAGES):
            value = ("\n" if one.asked.widget is Widget.LINES else "、").join(value)
        found[one.name] = value
    return found


def as_body(fields: Sequence[DeclaredField], content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a form shows as the API takes it; what is empty is None, an empty text or an empty list."""
    given = shown(fields, content)
    return {one.name: _value(one.asked.widget, given[one.name]) for one in fields}


def _value(widget: Widget, value: Any) -> Any:
    if widget is Widget.ASKS:
        return [dict(ask) for ask in value if ask["text"].strip()]
    if widget in (Widget.WORDS, Widget.LANGUAGES):
        return [word.strip() for word in _BETWEEN.split(value) if word.strip()]
    if widget is Widget.LINES:
        return [line.strip() for line in value.splitlines() if line.strip()]
    if widget is Widget.AMOUNT and isinstance(value, str):
        value = _amount(value)
    if widget in _NONE_IF_EMPTY and isinstance(value, str):
        return value.strip() or None
    return value


def _amount(words: str) -> int | str:
    """Return an amount as people write it (50萬, 九十萬) in dollars; what is none stays and is refused."""
    try:
        return money(words) if words.strip() else ""
    except FieldError:
        return words


NEED_FIELDS = asked_fields(NeedIn)
KINDS = list(AskKind)
_BY_ITSELF = ("title", "description", "asks")
NEED_FACTS = tuple(one for one in NEED_FIELDS if one.name not in _BY_ITSELF)
"""What a page lists of a need below its text."""


def asks_wished(wish: str, asks: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Return the asks after a button was pressed, `add` or `remove:` and a number; None if it was another."""
    do, _, number = wish.partition(":")
    if do == "add":
        return [*asks, {"kind": AskKind.TECHNOLOGY.value, "text": ""}]
    if do == "remove" and number.isdigit():
        return [ask for n, ask in enumerate(asks) if n != int(number)]
    return None
