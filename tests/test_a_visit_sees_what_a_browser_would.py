"""The control of all tests that visit pages without a browser: faults are seen, and forms are sent as browsers do."""

from __future__ import annotations

from urllib.parse import parse_qsl

import httpx
import pytest

from indexer.settings import Settings
from tests.rig.markup import Element, faults_of, html_of, parsed, selected, with_role, with_text
from tests.rig.servers.served import REPOSITORY, Served
from tests.rig.servers.visits import CONTENT_POLICY, VisitedPage, expect

POLICY = "; ".join(f"{name} {said}" for name, said in CONTENT_POLICY.items())
FORM = """<!DOCTYPE html><html><head><title>t</title></head><body><form method="post" action="/sent" {kind}>
<label for="a">A</label><input id="a" name="a" value="&lt;1&gt;"><input type="hidden" name="token" value="x">
<label for="b">B</label><textarea id="b" name="b" required>
two
lines</textarea>
<label for="c">C</label><select id="c" name="c"><option value="1">one</option><option>two</option></select>
<fieldset><legend>many</legend><label><input type="checkbox" name="d" value="1">first</label>
<label><input type="checkbox" name="d" value="2" checked>second</label></fieldset>
<label for="f">F</label><input id="f" type="file" name="f">
<input id="off" aria-label="off" name="off" value="no" disabled>
<button name="do" value="keep">Keep</button>
<button name="do" value="try" formaction="/tried" formnovalidate>Try</button>
<details><summary>More</summary><button name="do" value="more">Folded</button></details></form></body></html>"""


@pytest.fixture
def sent() -> list[httpx.Request]:
    return []


@pytest.fixture
def page(sent: list[httpx.Request]) -> VisitedPage:
    """A page of a server that answers everything with the form."""
    kind = ""

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        headers = {"Content-Security-Policy": POLICY, "Content-Type": "text/html; charset=utf-8"}
        nonlocal kind
        kind = 'enctype="multipart/form-data"' if request.url.query == b"files" else kind
        if request.url.path == "/sent":
            return httpx.Response(303, headers={"Location": "/after#here", "Set-Cookie": "__Host-k=v; Secure; Path=/"})
        return httpx.Response(200, headers=headers, text=FORM.format(kind=kind))

    client = httpx.Client(transport=httpx.MockTransport(answer))
    settings = Settings(home=REPOSITORY)
    made = VisitedPage(Served("http://here", {}, {}, settings, None, REPOSITORY, client), {})  # type: ignore[arg-type]
    made.goto("http://here/form")
    return made


def test_a_form_is_sent_as_it_is_filled_in(page: VisitedPage, sent: list[httpx.Request]) -> None:
    page.get_by_label("A", exact=True).fill("一")
    page.get_by_label("C", exact=True).select_option("two")
    page.get_by_label("first").check()
    page.get_by_role("button", name="Keep").click()
    request = next(one for one in sent if one.method == "POST")
    assert parse_qsl(request.content.decode(), keep_blank_values=True) == [
        ("a", "一"),
        ("token", "x"),
        ("b", "two\r\nlines"),
        ("c", "two"),
        ("d", "1"),
        ("d", "2"),
        ("f", ""),
        ("do", "keep"),
    ]
    assert (request.headers["origin"], request.headers["sec-fetch-site"]) == ("http://here", "same-origin")
    # Where it led on to, with the cookie that came.
    assert page.url == "http://here/after#here"
    assert sent[-1].headers["cookie"] == "__Host-k=v"


def test_files_are_sent_with_their_names(page: VisitedPage, sent: list[httpx.Request]) -> None:
    page.goto("http://here/form?files")
    page.get_by_label("F", exact=True).set_input_files(
        {"name": 'a "b".pdf', "mimeType": "application/pdf", "buffer": b"\0x"}
    )
    page.get_by_role("button", name="Keep").click()
    request = next(one for one in sent if one.method == "POST")
    assert b'name="f"; filename="a %22b%22.pdf"\r\nContent-Type: application/pdf\r\n\r\n\0x\r\n' in request.content
    assert b'name="d"\r\n\r\n2\r\n' in request.content


def test_what_a_browser_would_not_do_fails(page: VisitedPage, sent: list[httpx.Request]) -> None:
    before = len(sent)
    page.get_by_label("B", exact=True).fill("")
    with pytest.raises(AssertionError, match="asks for 'b'"):
        page.get_by_role("button", name="Keep").click()
    with pytest.raises(AssertionError, match="nobody sees"):
        page.locator("details button").click()
    with pytest.raises(AssertionError, match="disabled"):
        page.locator("#off").fill("yes")
    with pytest.raises(AssertionError, match="2 elements instead of one"):
        page.locator("fieldset input").check()
    with pytest.raises(AssertionError, match="elsewhere"):
        page.goto("http://there/")
    with pytest.raises(AssertionError):
        expect(page.locator("details button")).to_be_visible()
    assert len(sent) == before
    page.get_by_text("More").click()
    expect(page.locator("details button")).to_be_visible()
    page.get_by_role("button", name="Try").click()
    assert sent[-1].url.path == "/tried"


@pytest.mark.parametrize(
    "fault",
    [
        "<p onclick='x'>a</p>",
        "<p style='color: red'>a</p>",
        "<script>x</script>",
        "<style>p {}</style>",
        "<script src='https://there/x.js'></script>",
        "<script src='//there/x.js'></script>",
        "<img src='data:image/png,x' alt='a'>",
        "<link rel='stylesheet' href='https://there/x.css'>",
        "<form action='https://there/'></form>",
        "<form action='/\\there/'></form>",
        "<iframe src='/a'></iframe>",
        "<p id='a'></p><p id='a'></p>",
        "<input name='a'>",
        "<select name='a'><option>1</option></select>",
    ],
)
def test_a_fault_of_a_page_is_seen(fault: str) -> None:
    whole = "<html><body><h1>a</h1><label for='b'>b</label><input id='b'><a href='https://there/'>c</a>{}</body></html>"
    assert faults_of(parsed(whole.format(""))) == []
    assert len(faults_of(parsed(whole.format(fault)))) == 1


@pytest.mark.parametrize("broken", ["<p><b>a</p></b>", "<div>", "</div>", "<p id='a' id='b'></p>"])
def test_what_is_not_well_formed_is_no_page(broken: str) -> None:
    with pytest.raises(AssertionError):
        parsed(broken)


def _texts(found: list[Element]) -> list[str]:
    return [one.text_content() for one in found]


def test_elements_are_found_as_browsers_find_them() -> None:
    document = parsed(
        "<main><section aria-labelledby='h'><h2 id='h'>Labs <b>2</b></h2><ul><li class='a b'>one</li><li>two "
        "<a href='/x'>three</a></li></ul></section><section><p hidden>four</p><button aria-label='Five'>5</button>"
        "</section></main>"
    )
    found = {
        "section > h2": ["Labs 2"],
        "ul li:nth-child(2)": ["two three"],
        "li.a.b, a[href^='/']": ["one", "three"],
        "li:not(.a)": ["two three"],
        "li:has(a)": ["two three"],
        "main :is(b, a)": ["2", "three"],
        "li:has-text('two') a": ["three"],
        "section > li": [],
    }
    assert {selector: _texts(selected(document, selector)) for selector in found} == found
    assert _texts(with_role(document, "heading")) == ["Labs 2"]
    assert [one.tag for one in with_role(document, "region")] == ["section"]
    assert with_role(document, "paragraph") == []
    assert _texts(with_text(document, "THREE")) == ["three"]
    (section,) = selected(document, "section:has(ul)")
    assert section.shown_text() == "Labs 2\none\ntwo three"
    assert [one.is_shown() for one in selected(document, "p, button")] == [False, True]
    assert html_of(selected(document, "a")[0]) == '<a href="/x">three</a>'
