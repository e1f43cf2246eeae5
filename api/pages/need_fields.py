"""The fields of a need as forms have them.

In: what was typed, or a need as it is stored. Out: values for the form, and
values for the API. It exists once, for the steps of a draft and for editing a
need. A value that makes no sense is kept as it was typed, so that it can be
shown with what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from starlette.datastructures import FormData

from indexer.vocabulary import AskKind, Confidentiality, Region, ResearchField

_BETWEEN = re.compile(r"[,，、;；\n]")
MAX_TYPED = 20_000
"""Characters of one field that a draft keeps."""
KINDS, FIELDS, REGIONS, READERS = list(AskKind), list(ResearchField), list(Region), list(Confidentiality)


@dataclass(frozen=True)
class NeedForm:
    """A need as its form shows it."""

    title: str = ""
    description: str = ""
    asks: Sequence[Mapping[str, str]] = ()
    fields: Sequence[str] = ()
    budget_ntd: str = ""
    deadline: str = ""
    confidentiality: str = Confidentiality.CONFIDENTIAL.value
    region: str = ""
    languages: Sequence[str] = ()
    excluded_labs: Sequence[str] = ()
    kinds: Sequence[AskKind] = field(default_factory=lambda: KINDS, repr=False)

    def as_body(self) -> dict[str, Any]:
        """Return the need as the API takes it; empty values are None or empty."""
        found = asdict(self)
        del found["kinds"]
        found["asks"] = [dict(ask) for ask in self.asks if ask["text"].strip()]
        for name in ("budget_ntd", "deadline", "region"):
            found[name] = found[name] or None
        return found


def read_form(form: FormData, names: Sequence[str]) -> dict[str, Any]:
    """Return the named fields of a form as they were typed."""
    found: dict[str, Any] = {}
    for name in names:
        if name == "asks":
            kinds, texts = _all(form, "ask_kind"), _all(form, "ask_text")
            found[name] = [{"kind": kind, "text": text} for kind, text in zip(kinds, texts, strict=False)]
        elif name == "fields":
            found[name] = _all(form, "fields")
        elif name in ("languages", "excluded_labs"):
            found[name] = [word.strip() for word in _BETWEEN.split(_one(form, name)) if word.strip()]
        elif name == "budget_ntd":
            found[name] = _one(form, name).replace(",", "").strip()
        else:
            found[name] = _one(form, name)
    return found


def typed_form(content: Mapping[str, Any]) -> NeedForm:
    """Return what was typed, or a need of the API, as a form shows it."""
    known = {name: content[name] for name in NeedForm.__dataclass_fields__ if content.get(name) not in (None, "")}
    known.pop("kinds", None)
    if "budget_ntd" in known:
        known["budget_ntd"] = str(known["budget_ntd"])
    return NeedForm(**known)


def _one(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value[:MAX_TYPED] if isinstance(value, str) else ""


def _all(form: FormData, name: str) -> list[str]:
    return [value[:MAX_TYPED] for value in form.getlist(name) if isinstance(value, str)][:200]
