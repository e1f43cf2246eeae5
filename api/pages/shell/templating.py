"""Templates with the words of one language around them.

In: a template's name, a language and values; a text and the words in it to mark. Out: HTML, every value escaped. It
exists so that templates of all pages have the same filters, and so that a name that a template misspells is an
error and not an empty place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.bccache import Bucket
from markupsafe import Markup, escape

from api.pages.shell.assets import asset_url, icon
from api.pages.shell.record_names import language, spoken
from api.pages.shell.wording import Lang, Wording, term
from indexer.instants import now
from indexer.vocabulary import city_in_english

TEMPLATE_FOLDER = Path(__file__).parents[2] / "templates"
EXTENSIONS = ("jinja2.ext.i18n", "jinja2.ext.loopcontrols")


class _CompiledOnce(BytecodeCache):
    """What templates were compiled to, for both languages: it takes this machine eight seconds to compile all."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give a template what it was compiled to, if it was."""
        bucket.code = self._kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what a template was compiled to."""
        if bucket.code is not None:
            self._kept[bucket.key, bucket.checksum] = bucket.code


COMPILED: BytecodeCache = _CompiledOnce()


def _asked_each_time(write: Callable[..., str]) -> Callable[..., str]:
    """Let a filter that writes as a language does not be worked out while a template is compiled for both."""
    return pass_context(lambda _, *values: write(*values))


@cache
def environment(lang: Lang) -> Environment:
    """Return the environment of a language.

    Filters: `day`, `moment`, `number`, `percent`, `money`, `ago` write values as the language does, `term` a code
    of a closed list, `language` a language's code, `told` what a refusal says. Functions: `asset(name)`, `icon(name)`,
    `new_key()` for a form that must be carried out once, `either(zh, en)`.
    """
    wording = Wording(lang)
    found = Environment(
        loader=FileSystemLoader(TEMPLATE_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=EXTENSIONS,
        bytecode_cache=COMPILED,
    )
    found.install_gettext_callables(wording.text, wording.counted, newstyle=True)  # type: ignore[attr-defined]
    spoken_by_language: dict[str, Callable[..., str]] = {
        "day": wording.day,
        "moment": wording.moment,
        "quarter": wording.quarter,
        "number": wording.number,
        "percent": wording.percent,
        "money": wording.money,
        "told": wording.told,
        "ago": lambda moment: wording.ago(moment, now()),
        "language": lambda code: wording.either(*language(code)),
        "term": lambda code: wording.text(term(code)),
        "city": lambda name: city_in_english(name) if lang is Lang.EN else name,
        "spoken": lambda words: spoken(words, lang),
    }
    found.filters |= {name: _asked_each_time(write) for name, write in spoken_by_language.items()}
    found.filters |= {"tel": tel_of, "leads_somewhere": leads_somewhere}
    found.globals |= {
        "asset": asset_url,
        "icon": icon,
        "new_key": lambda: uuid4().hex,
        "either": wording.either,
        "lang": lang,
        "Lang": Lang,
    }
    return found


def tel_of(phone: str) -> str:
    """Return the address by which a telephone calls a number (RFC 3966), with its extension."""
    number, _, extension = phone.partition("#")
    digits = "".join(c for c in number if c.isdecimal() or c == "+")
    inner = "".join(c for c in extension if c.isdecimal())
    return f"tel:{digits}" + (f";ext={inner}" if inner else "")


def leads_somewhere(url: str) -> bool:
    """Whether an address is one of the web, not one that stands for another in examples (RFC 2606), as in a demo."""
    try:
        parts = urlsplit(url)
        labels = (parts.hostname or "").split(".")
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and not {"example", "invalid", "test", ""} & set(labels)


def rendered(template: str, lang: Lang, context: dict[str, Any]) -> str:
    """Return a template with its values as HTML.

    Raises:
        jinja2.UndefinedError: the template names a value that was not given.
    """
    return environment(lang).get_template(template).render(context)


_LATIN = r"[0-9A-Za-zÀ-ɏ]"


def marked(text: str, words: Sequence[str]) -> Markup:
    """Return the text with each of the words marked; Latin words only where they are whole words."""
    wanted = sorted({word for word in words if word}, key=lambda word: (-len(word), word))
    if not wanted:
        return escape(text)
    pattern = re.compile("|".join(_whole(word) for word in wanted), re.IGNORECASE)
    parts, end = [], 0
    for found in pattern.finditer(text):
        parts += [escape(text[end : found.start()]), Markup("<mark>{}</mark>").format(found[0])]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


def _whole(word: str) -> str:
    before = rf"(?<!{_LATIN})" if re.match(_LATIN, word) else ""
    after = rf"(?!{_LATIN})" if re.match(_LATIN, word[-1]) else ""
    return f"{before}{re.escape(word)}{after}"
