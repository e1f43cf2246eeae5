"""HTML as a tree that can be asked: by CSS, by words, by the roles and names that a screen reader tells.

In: the text of a page. Out: its elements. It exists because most of what a page shows (words, links, fields, what is
refused) needs no browser to be read, and a browser takes a hundred times as long to show it. It is strict: an element
that is not closed is a fault, as nothing on our pages relies on a browser's guesses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from html import escape
from html.parser import HTMLParser

Words = str | re.Pattern[str]
Test = Callable[["Element"], bool]
_VOID = frozenset(("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"))
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_BLOCKS = frozenset(
    (
        *("address", "article", "aside", "blockquote", "br", "caption", "dd", "details", "dialog", "div", "dl", "dt"),
        *("fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "legend", "li", "main", "nav", "ol"),
        *("option", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul", *_HEADINGS),
    )
)
_NEVER_SHOWN = frozenset(("datalist", "head", "script", "style", "template", "title"))
_CONTROLS = frozenset(("button", "input", "select", "textarea"))
_UNNAMED = frozenset(("button", "hidden", "image", "reset", "submit"))
"""Kinds of inputs that need no label."""


@dataclass(eq=False)
class Element:
    """An element with what stands in it."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)
    parent: Element | None = None
    files: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Of a field for files: name, kind and content of what was chosen."""
    known: dict[str, list[Element]] = field(default_factory=dict)
    """Of a document: its elements by `#id`, and its labels by the `for` they name; filled when first asked for."""

    def descendants(self) -> Iterator[Element]:
        """Return all elements in it, in their order."""
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child.descendants()

    def ancestors(self) -> Iterator[Element]:
        """Return what it stands in, the innermost first."""
        at = self.parent
        while at is not None:
            yield at
            at = at.parent

    def elements(self) -> list[Element]:
        """Return the elements directly in it."""
        return [child for child in self.children if isinstance(child, Element)]

    def text_content(self) -> str:
        """Return all its text as it stands, shown or not."""
        return "".join(child if isinstance(child, str) else child.text_content() for child in self.children)

    def shown_text(self) -> str:
        """Return the text that somebody reads: a line for each block, nothing of what is folded away."""
        lines = "".join(self._pieces()).split("\n")
        return "\n".join(line for line in (" ".join(line.split()) for line in lines) if line)

    def _pieces(self) -> Iterator[str]:
        for child in self.children:
            if isinstance(child, str):
                yield child if self.tag == "pre" else " ".join(re.split(r"\s+", child))
            elif not child.is_folded():
                edge = "\n" if child.tag in _BLOCKS else "\t" if child.tag in ("td", "th") else ""
                yield edge
                yield from child._pieces()
                yield edge

    def is_folded(self) -> bool:
        """Whether the element itself is not shown, wherever it stands."""
        if self.tag in _NEVER_SHOWN or "hidden" in self.attributes:
            return True
        if self.tag == "dialog" and "open" not in self.attributes:
            return True
        if self.tag == "input" and self.attributes.get("type") == "hidden":
            return True
        folder = self.parent
        return folder is not None and folder.tag == "details" and self.tag != "summary" and not folder.has("open")

    def is_shown(self) -> bool:
        """Whether somebody sees it: it is not folded away, nor is what it stands in."""
        return not self.is_folded() and not any(one.is_folded() for one in self.ancestors())

    def has(self, name: str) -> bool:
        """Whether it has an attribute."""
        return name in self.attributes

    def within(self, tag: str) -> Element | None:
        """Return the innermost element of a kind that it stands in."""
        return next((one for one in self.ancestors() if one.tag == tag), None)

    def root(self) -> Element:
        """Return the document."""
        return [self, *self.ancestors()][-1]

    def named(self, key: str) -> list[Element]:
        """Return the document's elements with an id (`#id`), or its labels for an id (`id`)."""
        document = self.root()
        if not document.known:
            document.known[""] = []
            for one in document.descendants():
                if one.has("id"):
                    document.known.setdefault("#" + one.attributes["id"], []).append(one)
                if one.tag == "label" and one.has("for"):
                    document.known.setdefault(one.attributes["for"], []).append(one)
        return document.known.get(key, [])

    def value(self) -> str:
        """Return what a field holds."""
        if self.tag == "textarea":
            return self.text_content()
        if self.tag == "select":
            return next((option_value(one) for one in chosen_options(self)), "")
        return self.attributes.get("value", "on" if self.attributes.get("type") in ("checkbox", "radio") else "")


def option_value(option: Element) -> str:
    """Return what a choice stands for."""
    return option.attributes.get("value", squeezed(option.text_content()))


def chosen_options(select: Element) -> list[Element]:
    """Return the chosen ones of a list's choices: where none is said, the first of a list that takes one."""
    options = [one for one in select.descendants() if one.tag == "option"]
    chosen = [one for one in options if one.has("selected")]
    if select.has("multiple"):
        return chosen
    return chosen[-1:] or options[:1]


def squeezed(text: str) -> str:
    """Return a text with one space where there is any white space."""
    return " ".join(text.split())


def fits(text: str, words: Words, *, exact: bool = False) -> bool:
    """Whether a text has the words, wherever and in capitals or not; with `exact` whether it is them."""
    if isinstance(words, re.Pattern):
        return words.search(squeezed(text)) is not None
    if exact:
        return squeezed(text) == squeezed(words)
    return squeezed(words).casefold() in squeezed(text).casefold()


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.document = Element("#document")
        self._at = self.document

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        one = Element(tag, {name: value or "" for name, value in attrs}, parent=self._at)
        assert len(one.attributes) == len(attrs), f"<{tag}> has an attribute twice: {attrs}"
        self._at.children.append(one)
        if tag not in _VOID:
            self._at = one

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._at.tag == tag, f"</{tag}> closes <{self._at.tag} {self._at.attributes}>"
        assert self._at.parent is not None
        self._at = self._at.parent

    def handle_data(self, data: str) -> None:
        if self._at.tag == "textarea" and not self._at.children:
            data = data.removeprefix("\n")
        self._at.children.append(data)


def parsed(text: str) -> Element:
    """Return a page as a tree."""
    builder = _Builder()
    builder.feed(text)
    builder.close()
    assert builder._at is builder.document, f"<{builder._at.tag} {builder._at.attributes}> is not closed"
    return builder.document


def html_of(one: Element | str) -> str:
    """Return an element as HTML."""
    if isinstance(one, str):
        return escape(one)
    said = "".join(f' {name}="{escape(value)}"' for name, value in one.attributes.items())
    within = "".join(html_of(child) for child in one.children)
    return f"<{one.tag}{said}>{within}" + f"</{one.tag}>" * (one.tag not in _VOID)


# Selectors: the part of CSS that tests use.

_PART = re.compile(
    r"(?P<tag>[a-zA-Z][\w-]*|\*)"
    r"|\#(?P<id>[\w-]+)"
    r"|\.(?P<class>[\w-]+)"
    r"|\[(?P<name>[\w-]+)(?:(?P<how>[~^$*]?=)(?P<quote>[\"']?)(?P<value>.*?)(?P=quote))?\]"
    r"|:(?P<pseudo>[\w-]+)(?P<bracket>\()?"
)


def selected(within: Element, selector: str) -> list[Element]:
    """Return the elements in another that a selector means, in their order."""
    test = _selector(selector)
    return [one for one in within.descendants() if test(one)]


@cache
def _selector(selector: str) -> Test:
    tests = [_complex(one) for one in _split(selector, ",")]
    return lambda one: any(test(one) for test in tests)


def _split(selector: str, at: str) -> list[str]:
    """Split a selector where a sign stands outside all brackets and quotes."""
    found, depth, quote, piece = [], 0, "", ""
    for sign in selector:
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in "([":
            depth += 1
        elif sign in ")]":
            depth -= 1
        elif sign == at and depth == 0:
            found.append(piece)
            piece = ""
            continue
        piece += sign
    return [one.strip() for one in [*found, piece] if one.strip()]


def _complex(selector: str) -> Test:
    """Return the test for compounds one within another, or one directly within another."""
    *outer, last = [part for piece in _split(selector.replace(">", " > "), " ") for part in [piece]]
    test = _compound(last)
    if not outer:
        return test
    directly = outer[-1] == ">"
    above = _complex(" ".join(outer[:-1] if directly else outer))
    if directly:
        return lambda one: test(one) and one.parent is not None and above(one.parent)
    return lambda one: test(one) and any(above(other) for other in one.ancestors())


def _compound(selector: str) -> Test:
    tests: list[Test] = []
    at = 0
    while at < len(selector):
        found = _PART.match(selector, at)
        assert found is not None, f"{selector!r} is not understood from {selector[at:]!r} on"
        at = found.end()
        inner = ""
        if found["bracket"]:
            depth, begin = 1, at
            while depth:
                depth += {"(": 1, ")": -1}.get(selector[at], 0)
                at += 1
            inner = selector[begin : at - 1]
        tests.append(_simple(found, inner))
    return lambda one: all(test(one) for test in tests)


def _simple(found: re.Match[str], inner: str) -> Test:
    tag, own_id, kind, name, value = found["tag"], found["id"], found["class"], found["name"], found["value"] or ""
    if tag:
        return lambda one: tag in ("*", one.tag)
    if own_id:
        return lambda one: one.attributes.get("id") == own_id
    if kind:
        return lambda one: kind in one.attributes.get("class", "").split()
    if name and not found["how"]:
        return lambda one: name in one.attributes
    if name:
        how = {
            "=": lambda has: has == value,
            "^=": lambda has: has.startswith(value),
            "$=": lambda has: has.endswith(value),
            "*=": lambda has: value in has,
            "~=": lambda has: value in has.split(),
        }[found["how"]]
        return lambda one: name in one.attributes and how(one.attributes[name])
    return _pseudo(found["pseudo"], inner)


def _pseudo(name: str, inner: str) -> Test:
    if name in ("not", "is", "has"):
        test = _selector(inner)
        kinds: dict[str, Test] = {
            "not": lambda one: not test(one),
            "is": test,
            "has": lambda one: any(test(other) for other in one.descendants()),
        }
        return kinds[name]
    place = int(inner) - 1 if name == "nth-child" else 0
    plain: dict[str, Test] = {
        "checked": lambda one: one.has("checked") or one.has("selected"),
        "nth-child": lambda one: one.parent is not None and one.parent.elements().index(one) == place,
        "has-text": lambda one: fits(one.text_content(), inner.strip("\"'")),
    }
    assert name in plain, f":{name} is not understood"
    return plain[name]


# Roles and names, as tools for people who do not see the page are told them.

_ROLES = {
    "article": "article",
    "button": "button",
    "dd": "definition",
    "fieldset": "group",
    "li": "listitem",
    "nav": "navigation",
    "table": "table",
    "textarea": "textbox",
    "tr": "row",
} | dict.fromkeys(_HEADINGS, "heading")
_INPUT_ROLES = {
    "checkbox": "checkbox",
    "number": "spinbutton",
    "radio": "radio",
    "search": "searchbox",
    "submit": "button",
}


def role_of(one: Element) -> str:
    """Return an element's role."""
    if one.has("role"):
        return one.attributes["role"]
    if one.tag == "a":
        return "link" if one.has("href") else ""
    if one.tag == "section":
        return "region" if name_of(one) else ""
    if one.tag == "input":
        return _INPUT_ROLES.get(one.attributes.get("type", "text"), "textbox")
    if one.tag == "select":
        return "listbox" if one.has("multiple") else "combobox"
    return _ROLES.get(one.tag, "")


def name_of(one: Element) -> str:
    """Return an element's name: what it says of itself, its label, its heading, or its text."""
    if one.has("aria-labelledby"):
        ids = one.attributes["aria-labelledby"].split()
        return squeezed(" ".join(other.text_content() for one_id in ids for other in one.named("#" + one_id)))
    if one.has("aria-label"):
        return one.attributes["aria-label"]
    if one.tag in ("input", "select", "textarea"):
        words = [label.text_content() for label in labels_of(one)]
        return squeezed(" ".join(words)) or one.attributes.get("value", "") * (one.attributes.get("type") == "submit")
    if one.tag in ("fieldset", "table"):
        heading = {"fieldset": "legend", "table": "caption"}[one.tag]
        return squeezed(" ".join(other.text_content() for other in one.elements() if other.tag == heading))
    return "" if one.tag in ("section", "nav", "article") else squeezed(one.text_content())


def labels_of(control: Element) -> list[Element]:
    """Return the labels of a field."""
    around = control.within("label")
    found = control.named(control.attributes.get("id", ""))
    return found if around is None or around in found else [around, *found]


def with_role(within: Element, role: str) -> list[Element]:
    """Return the elements in another that have a role and are shown."""
    return [one for one in within.descendants() if role_of(one) == role and one.is_shown()]


def with_text(within: Element, words: Words, *, exact: bool = False) -> list[Element]:
    """Return the smallest elements in another with these words."""
    found = [
        one
        for one in within.descendants()
        if one.tag not in ("script", "style", "head") and fits(one.text_content(), words, exact=exact)
    ]
    larger = {id(other) for one in found for other in one.ancestors()}
    return [one for one in found if id(one) not in larger and one.within("head") is None]


def labelled(within: Element, words: Words, *, exact: bool = False) -> list[Element]:
    """Return the fields in another whose label has these words."""
    found = [one for one in within.descendants() if one.tag in _CONTROLS or one.has("aria-label")]
    return [
        one
        for one in found
        if (one.has("aria-label") or one.has("aria-labelledby") or labels_of(one))
        and fits(name_of(one), words, exact=exact)
    ]


def faults_of(document: Element) -> list[str]:
    """Return what no page of ours may have: doubled ids, fields without a label, script or style within the page."""
    everything = list(document.descendants())
    ids = [one.attributes["id"] for one in everything if one.has("id")]
    found = [f"id {one} twice" for one in sorted({one for one in ids if ids.count(one) > 1})]
    for one in everything:
        handlers = [name for name in one.attributes if name.startswith("on") or name in ("style", "srcdoc")]
        found += [f"<{one.tag} {name}>" for name in handlers]
        if one.tag in ("style", "iframe", "object", "embed", "base") or (one.tag == "script" and not one.has("src")):
            found.append(f"<{one.tag}> in the page")
        asked = [one.attributes[name] for name in ("src", "action", "formaction", "data") if one.has(name)]
        asked += [one.attributes["href"]] if one.tag in ("link", "use") and one.has("href") else []
        found += [f"<{one.tag}> asks for {place}" for place in asked if not re.match(r"/(?![/\\])|[#?]|$", place)]
        if one.tag in ("input", "select", "textarea") and one.attributes.get("type") not in _UNNAMED:
            found += [] if name_of(one) or one.has("title") else [f"<{one.tag} {one.attributes}> has no label"]
    return found
