"""The fields of a need as its forms have them: those that are declared, and its asks, one added or taken away.

In: what was typed and which button was pressed. Out: what the form shows then. It exists once, for the steps of a
draft and for editing a need.
"""

from __future__ import annotations

from typing import Any

from api.pages.form_fields import asked_fields
from indexer.exchange import NeedIn
from indexer.vocabulary import AskKind

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
