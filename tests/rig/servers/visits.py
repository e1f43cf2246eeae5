"""People at the pages without a browser: they read HTML, follow links, fill in forms and send them, as without script.

In: a served application, and who sits there in which language. Out: what they would read, by the same questions that
are put to a browser's pages (`locator`, `get_by_role`, `get_by_label`, `expect`), so that a test can be taken from one
to the other. It exists because a browser takes a hundred times as long and shows no more of words, forms and rights.
Every page that is read has to be whole: closed elements, no doubled ids, labels, nothing from elsewhere, our policy.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

import httpx
from playwright import sync_api

from api.requests.permitted_request import COOKIE
from tests.rig.markup import (
    Element,
    Words,
    chosen_options,
    faults_of,
    fits,
    html_of,
    labelled,
    name_of,
    option_value,
    parsed,
    selected,
    squeezed,
    with_role,
    with_text,
)
from tests.rig.servers.browsers import session_token
from tests.rig.servers.served import Served

CONTENT_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
"""What a page may load and do."""
_REDIRECTS = 10


def policy_of(answer: httpx.Response) -> dict[str, str]:
    """Return the content policy of an answer."""
    parts = [part.split(None, 1) for part in answer.headers["content-security-policy"].split(";")]
    return {name: said.strip() for name, said in parts}


class Located:
    """Elements of a page, looked for anew whenever they are asked for."""

    def __init__(self, page: VisitedPage, find: Callable[[], list[Element]]) -> None:
        self.page = page
        self.elements = find

    def _within(self, find: Callable[[Element], list[Element]]) -> Located:
        def found() -> list[Element]:
            elements = [one for outer in self.elements() for one in find(outer)]
            return list(dict.fromkeys(elements))

        return Located(self.page, found)

    def _kept(self, keep: Callable[[Element], bool]) -> Located:
        return Located(self.page, lambda: [one for one in self.elements() if keep(one)])

    def locator(self, selector: str, *, has_text: Words | None = None, has: Located | None = None) -> Located:
        """Return the elements within these that a selector means."""
        return self._within(lambda outer: selected(outer, selector)).filter(has_text=has_text, has=has)

    def filter(self, *, has_text: Words | None = None, has: Located | None = None) -> Located:
        """Return those of these that have words, or an element, in them."""
        found = self
        if has_text is not None:
            found = found._kept(lambda one: fits(one.text_content(), has_text))
        if has is not None:
            found = found._kept(lambda one: any(one in other.ancestors() for other in has.elements()))
        return found

    def get_by_role(
        self, role: str, *, name: Words | None = None, exact: bool = False, level: int | None = None
    ) -> Located:
        """Return the elements within these that have a role, and a name, and are shown."""
        found = self._within(lambda outer: with_role(outer, role))
        if level is not None:
            found = found._kept(lambda one: one.tag == f"h{level}")
        return found if name is None else found._kept(lambda one: fits(name_of(one), name, exact=exact))

    def get_by_label(self, words: Words, *, exact: bool = False) -> Located:
        """Return the fields within these whose label has words."""
        return self._within(lambda outer: labelled(outer, words, exact=exact))

    def get_by_text(self, words: Words, *, exact: bool = False) -> Located:
        """Return the smallest elements within these that have words."""
        return self._within(lambda outer: with_text(outer, words, exact=exact))

    @property
    def first(self) -> Located:
        """The first of them."""
        return Located(self.page, lambda: self.elements()[:1])

    @property
    def last(self) -> Located:
        """The last of them."""
        return Located(self.page, lambda: self.elements()[-1:])

    def nth(self, place: int) -> Located:
        """Return the one at a place, counted from 0."""
        return Located(self.page, lambda: self.elements()[place : place + 1])

    def all(self) -> list[Located]:
        """Return each of those that are there now."""
        return [Located(self.page, lambda one=one: [one]) for one in self.elements()]  # type: ignore[misc]

    def count(self) -> int:
        """Return how many there are."""
        return len(self.elements())

    def one(self) -> Element:
        """Return the only one."""
        found = self.elements()
        assert len(found) == 1, f"{len(found)} elements instead of one: {[one.attributes for one in found]}"
        return found[0]

    def _usable(self) -> Element:
        one = self.one()
        assert one.is_shown(), f"nobody sees <{one.tag} {one.attributes}>"
        assert not one.has("disabled"), f"<{one.tag} {one.attributes}> is disabled"
        return one

    def inner_text(self) -> str:
        """Return the text of the only one as it is read."""
        return self.one().shown_text()

    def all_inner_texts(self) -> list[str]:
        """Return the text of each as it is read."""
        return [one.shown_text() for one in self.elements()]

    def text_content(self) -> str:
        """Return all text of the only one."""
        return self.one().text_content()

    def all_text_contents(self) -> list[str]:
        """Return all text of each."""
        return [one.text_content() for one in self.elements()]

    def inner_html(self) -> str:
        """Return what stands in the only one, as HTML."""
        return "".join(html_of(child) for child in self.one().children)

    def get_attribute(self, name: str) -> str | None:
        """Return an attribute of the only one."""
        return self.one().attributes.get(name)

    def input_value(self) -> str:
        """Return what the field holds."""
        return self.one().value()

    def fill(self, text: str) -> None:
        """Write into the field."""
        one = self._usable()
        assert one.tag in ("input", "textarea"), one.tag
        if one.tag == "textarea":
            one.children = [text]
        else:
            one.attributes["value"] = text

    def select_option(self, value: str | None = None, *, label: str | None = None) -> None:
        """Choose one of the list's choices, by its value or else by its words."""
        options = [one for one in self._usable().descendants() if one.tag == "option"]
        chosen = [
            one
            for one in options
            if (value is not None and option_value(one) == value)
            or squeezed(one.text_content()) == (value if label is None else label)
        ]
        assert chosen, f"no choice {value or label!r} among {[option_value(one) for one in options]}"
        for one in options:
            one.attributes.pop("selected", None)
        chosen[0].attributes["selected"] = ""

    def check(self) -> None:
        """Tick the box, or choose it alone of those of its name."""
        one = self._usable()
        if one.attributes["type"] == "radio":
            for other in one.root().descendants():
                if other.attributes.get("name") == one.attributes["name"] and _form_of(other) is _form_of(one):
                    other.attributes.pop("checked", None)
        one.attributes["checked"] = ""

    def uncheck(self) -> None:
        """Take the tick from the box."""
        self._usable().attributes.pop("checked", None)

    def set_input_files(self, files: Any) -> None:
        """Choose files: one or more, each with `name`, `mimeType` and `buffer`."""
        one = self._usable()
        chosen = files if isinstance(files, list) else [files]
        assert len(chosen) < 2 or one.has("multiple"), "the field takes one file"
        one.files = [(file["name"], file["mimeType"], file["buffer"]) for file in chosen]

    def not_required(self) -> None:
        """Let the field be sent empty, as by a program."""
        self.one().attributes.pop("required", None)

    def focus(self) -> None:
        """Go to the element by the keyboard."""
        one = self._usable()
        assert one.tag in ("button", "input", "select", "textarea", "summary") or one.has("href"), one.tag

    def click(self) -> None:
        """Follow the link, send the form, or fold open."""
        one = _meant(self._usable())
        if one.tag == "summary":
            assert one.parent is not None
            folder = one.parent.attributes
            if folder.pop("open", None) is None:
                folder["open"] = ""
        elif one.tag == "a":
            self.page.goto(urljoin(self.page.url, one.attributes["href"]))
        elif one.tag == "button" or one.attributes.get("type") == "submit":
            assert one.attributes.get("type", "submit") == "submit", "the button does nothing without script"
            form = _form_of(one)
            assert form is not None, "the button sends no form"
            self.page.send(form, one)
        else:
            assert one.attributes.get("type") in ("checkbox", "radio"), f"a click on <{one.tag}> does nothing"
            self.check()

    def press(self, key: str) -> None:
        """Press a key on it: Enter presses a button, and sends the form of a field."""
        assert key == "Enter", key
        one = self._usable()
        if one.tag != "input":
            self.click()
            return
        form = _form_of(one)
        assert form is not None
        first = next((other for other in form.descendants() if other.tag == "button"), None)
        self.page.send(form, first)

    def fetched(self) -> httpx.Response:
        """Return what the link leads to, without going there."""
        return self.page.asked(urljoin(self.page.url, self.one().attributes["href"]))


def _meant(one: Element) -> Element:
    """Return what a click on an element is for: itself, or what it stands in."""
    around = [one, *one.ancestors()]
    return next((other for other in around if other.tag in ("a", "button", "input", "select", "summary")), one)


def _form_of(one: Element) -> Element | None:
    """Return the form that an element belongs to."""
    if one.has("form"):
        (found,) = one.named("#" + one.attributes["form"])
        return found
    return one.within("form")


def _sent(form: Element, button: Element | None) -> list[tuple[str, str | tuple[str, str, bytes]]]:
    """Return names and values that a browser sends of a form."""
    found: list[tuple[str, str | tuple[str, str, bytes]]] = []
    is_checked = not form.has("novalidate") and not (button is not None and button.has("formnovalidate"))
    for one in form.root().descendants():
        if one.tag not in ("input", "select", "textarea", "button") or _form_of(one) is not form:
            continue
        if one.has("disabled") or not one.has("name"):
            continue
        kind, name = one.attributes.get("type", "text"), one.attributes["name"]
        if one.tag == "button" or kind == "submit":
            found += [(name, one.value())] * (one is button)
        elif one.tag == "select":
            found += [(name, option_value(option)) for option in chosen_options(one)]
        elif kind in ("checkbox", "radio"):
            found += [(name, one.value())] * one.has("checked")
        elif kind == "file":
            found += [(name, file) for file in one.files or [("", "application/octet-stream", b"")]]
        else:
            found.append((name, re.sub(r"\r\n|\r|\n", "\r\n", one.value())))
        if is_checked and one.has("required") and kind not in ("checkbox", "radio"):
            assert one.value() or one.files, f"a browser asks for {name!r} before it sends the form"
    return found


def _multipart(pairs: list[tuple[str, str | tuple[str, str, bytes]]]) -> tuple[str, bytes]:
    """Return kind and body of a form with files."""
    boundary, body = secrets.token_hex(16), b""
    for name, value in pairs:
        disposition = f'Content-Disposition: form-data; name="{_quoted(name)}"'
        if isinstance(value, str):
            content = value.encode()
        else:
            content = value[2]
            disposition += f'; filename="{_quoted(value[0])}"\r\nContent-Type: {value[1]}'
        body += f"--{boundary}\r\n{disposition}\r\n\r\n".encode() + content + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


def _quoted(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


@dataclass
class Answered:
    """How the server answered."""

    status: int
    headers: httpx.Headers
    body: str

    def text(self) -> str:
        """Return what it answered."""
        return self.body


@dataclass(eq=False)
class VisitedPage(Located):
    """The page that somebody has before them."""

    server: Served
    cookies: dict[str, str]
    url: str = ""
    document: Element = field(default_factory=lambda: Element("#document"))
    answer: httpx.Response | None = None
    sent_with: dict[str, Any] = field(default_factory=dict)
    """How the page was asked for, if by a form that did not lead on."""

    def __post_init__(self) -> None:
        """Look for elements in the whole page."""
        super().__init__(self, lambda: [self.document])

    def asked(self, url: str, method: str = "GET", **more: Any) -> httpx.Response:
        """Send a request as this browser does, and keep the cookies that come back."""
        assert urlsplit(url).netloc == urlsplit(self.server.url).netloc, f"{url} is elsewhere"
        headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "Sec-Fetch-Site": "same-origin",
            **more.pop("headers", {}),
        }
        if method != "GET":
            headers["Origin"] = self.server.url
        client = self.server.client
        answer = client.request(method, url.partition("#")[0], headers=headers, timeout=60, **more)
        client.cookies.clear()
        for line in answer.headers.get_list("set-cookie"):
            for name, cookie in SimpleCookie(line).items():
                if cookie["max-age"] == "0" or "1970" in cookie["expires"]:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = cookie.value
        return answer

    def goto(self, url: str, method: str = "GET", **more: Any) -> Answered:
        """Open a page, wherever it leads on to."""
        url = urljoin(self.url or self.server.url, quote(url, safe="/:?#[]@!$&'()*+,;=%"))
        for _ in range(_REDIRECTS):
            answer = self.asked(url, method, **more)
            if answer.status_code not in (302, 303, 307):
                break
            # What follows a form is a page, asked for without it.
            method, more = "GET", {}
            there = urljoin(url, answer.headers["location"])
            url = there if "#" in there else there + url[url.find("#") :] * ("#" in url)
        self.answer, self.sent_with = answer, {"method": method, **more}
        if answer.headers["content-type"].startswith("text/html"):
            assert policy_of(answer) == CONTENT_POLICY, url
            self.url, self.document = url, parsed(answer.text)
            assert (url, faults_of(self.document)) == (url, [])
        return Answered(answer.status_code, answer.headers, answer.text)

    def reload(self) -> None:
        """Open the same page again, with the form that led to it."""
        self.goto(self.url, **self.sent_with)

    def wait_for_url(self, pattern: re.Pattern[str]) -> None:
        """See that the address is what is waited for in a browser."""
        assert pattern.search(self.url), self.url

    def title(self) -> str:
        """Return the page's title."""
        return squeezed(self.locator("head title").text_content())

    def content(self) -> str:
        """Return the page as it came."""
        assert self.answer is not None
        return self.answer.text

    def send(self, form: Element, button: Element | None) -> None:
        """Send a form as it is filled in."""
        told = form.attributes | (
            {name[4:]: value for name, value in button.attributes.items() if name in ("formaction", "formmethod")}
            if button is not None
            else {}
        )
        url = urljoin(self.url, told.get("action") or self.url).partition("#")[0]
        pairs = _sent(form, button)
        if told.get("method", "get").lower() == "get":
            self.goto(url.partition("?")[0] + "?" + urlencode([(name, str(value)) for name, value in pairs]))
        elif told.get("enctype") == "multipart/form-data":
            kind, body = _multipart(pairs)
            self.goto(url, "POST", content=body, headers={"Content-Type": kind})
        else:
            kind = "application/x-www-form-urlencoded"
            texts = [(name, value if isinstance(value, str) else value[0]) for name, value in pairs]
            self.goto(url, "POST", content=urlencode(texts).encode(), headers={"Content-Type": kind})


@dataclass
class Visitor:
    """A person without a browser, at one page at a time."""

    page: VisitedPage
    url: str

    def open(self, path: str, status: int = 200) -> VisitedPage:
        """Open a page of the server and return it."""
        answered = self.page.goto(self.url + path)
        assert answered.status == status, f"{path}: {answered.status}"
        return self.page

    def window(self) -> VisitedPage:
        """Return another window of the same browser."""
        return VisitedPage(self.page.server, self.page.cookies)


@contextmanager
def visiting(server: Served, who: str | None, lang: str = "zh-Hant") -> Iterator[Visitor]:
    """Let somebody of `PEOPLE`, or a stranger, read the pages, signed in."""
    cookies = {"gloria-lang": lang} if lang else {}
    if who is not None:
        cookies[COOKIE] = session_token(server, who)
    yield Visitor(VisitedPage(server, cookies), server.url)


class _Expected:
    """What is expected of elements; nothing is waited for, since nothing comes later."""

    def __init__(self, located: Located) -> None:
        self._located = located

    def to_have_count(self, count: int) -> None:
        assert self._located.count() == count, [one.attributes for one in self._located.elements()]

    def to_be_visible(self) -> None:
        one = self._located.one()
        assert one.is_shown(), f"nobody sees <{one.tag} {one.attributes}>"

    def to_be_attached(self) -> None:
        assert self._located.count() > 0

    def to_have_text(self, words: Words | list[str]) -> None:
        texts = [squeezed(one.text_content()) for one in self._located.elements()]
        if isinstance(words, list):
            assert texts == [squeezed(one) for one in words]
        elif isinstance(words, re.Pattern):
            assert words.search(squeezed(self._located.text_content()))
        else:
            assert squeezed(self._located.text_content()) == squeezed(words)

    def to_contain_text(self, words: str) -> None:
        assert squeezed(words) in squeezed(self._located.text_content())

    def not_to_contain_text(self, words: str) -> None:
        assert squeezed(words) not in squeezed(self._located.text_content())

    def to_have_attribute(self, name: str, value: str) -> None:
        assert self._located.get_attribute(name) == value

    def to_have_value(self, value: str) -> None:
        assert self._located.input_value() == value

    def to_have_url(self, url: str) -> None:
        assert self._located.page.url == url

    def to_be_disabled(self) -> None:
        assert self._located.one().has("disabled")

    def to_be_checked(self) -> None:
        assert self._located.one().has("checked")


def expect(what: Any) -> Any:
    """Return what may be expected of elements that are read here, or of those in a browser."""
    return _Expected(what) if isinstance(what, Located) else sync_api.expect(what)
