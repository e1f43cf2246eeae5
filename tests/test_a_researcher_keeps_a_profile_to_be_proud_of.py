"""Works handed in from wherever they lie, a photo, and an answer to "why am I not found" that gives no need away."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from playwright.sync_api import Browser

from indexer.settings import Settings
from matcher.handouts.pictures import PictureError, drawn_from
from tests.conftest import Databases
from tests.rig.servers.browsers import LANGS, browsing, look_over
from tests.rig.servers.served import Served, served
from tests.rig.servers.visits import expect, visiting

LAB = "lab-1-01"
LOGO = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 100"><path d="M0 0H200V100H0Z" fill="#0b4f6c"/></svg>'
BIBTEX = """@article{grinding2024,
  title = {Subsurface cracks after grinding of gallium nitride},
  author = {Wen, Bing-Song},
  year = {2024},
  doi = {10.5555/gan.2024.7}
}
@patent{untitled2020, year = {2020}}
"""
RIS = "TY  - JOUR\nTI  - 光聲法量測晶圓損傷層\nPY  - 2022\nER  - \n"
CSV = "標題,年度,類別\n超音波輔助切割之裝置,2021,專利\n,2020,論文\n"
ORCID = {
    "orcid-identifier": {"path": "0000-0001-2345-6789"},
    "person": {"name": {"given-names": {"value": "Somebody"}, "family-name": {"value": "Else"}}},
    "activities-summary": {
        "works": {
            "group": [
                {
                    "work-summary": [
                        {
                            "put-code": 7,
                            "type": "journal-article",
                            "title": {"title": {"value": "Diamond wire wear"}},
                            "publication-date": {"year": {"value": "2019"}},
                        }
                    ]
                }
            ]
        }
    },
}


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("own-lab") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        yield server


def _handed_in(server: Served, **body: Any) -> tuple[int, dict[str, Any]]:
    answer = server.ask("researcher", "POST", f"/api/labs/{LAB}/works", json=body)
    return answer.status_code, answer.json()


def _evidence(server: Served) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.ask("researcher", "GET", f"/api/labs/{LAB}").json()["evidence"]
    return found


def test_works_come_from_whatever_lies_at_hand(server: Served) -> None:
    before = _evidence(server)
    given = {"BibTeX": BIBTEX, "RIS": RIS, "CSV": CSV, "ORCID": json.dumps(ORCID)}
    answers = {name: _handed_in(server, content=content) for name, content in given.items()}
    counts = {name: (status, done["added"], done["known"]) for name, (status, done) in answers.items()}
    assert counts == dict.fromkeys(given, (201, 1, 0))
    # What could not be taken is told by its row, and the rest is kept.
    told = {name: [(one["row"], one["field"]) for one in done["problems"]] for name, (_, done) in answers.items()}
    assert told == {"BibTeX": [(7, "title")], "RIS": [], "CSV": [(3, "title")], "ORCID": []}
    after = _evidence(server)
    # The newest stands first; what was there stays as it was, and nothing else of the files is taken over.
    assert [one["title"] for one in after[:4]] == [
        "Diamond wire wear",
        "超音波輔助切割之裝置",
        "光聲法量測晶圓損傷層",
        "Subsurface cracks after grinding of gallium nitride",
    ]
    assert after[4:] == before
    assert (after[1]["kind"], after[3]["doi"]) == ("patent", "10.5555/gan.2024.7")
    assert server.ask("researcher", "GET", f"/api/labs/{LAB}").json()["pi"] != "Somebody Else"
    # The same once more changes nothing.
    again = {name: _handed_in(server, content=content)[1] for name, content in given.items()}
    assert {name: (done["added"], done["known"]) for name, done in again.items()} == dict.fromkeys(given, (0, 1))
    assert _evidence(server) == after


def test_a_work_is_added_by_its_doi_or_typed(server: Served) -> None:
    typed = {"doi": "https://doi.org/10.5555/typed.1", "title": "自己填的成果", "kind": "project", "year": "民國113年"}
    assert _handed_in(server, work=typed)[1]["added"] == 1
    first = _evidence(server)[0]
    assert (first["title"], first["kind"], first["year"], first["doi"]) == (
        "自己填的成果",
        "project",
        2024,
        "10.5555/typed.1",
    )
    # Of what a lab here has, the DOI is enough; of what nobody has, it says that the title is to be typed.
    other = server.ask(
        "other_researcher", "POST", "/api/labs/lab-1-02/works", json={"work": {"doi": "10.5555/typed.1"}}
    )
    assert (other.status_code, other.json()["added"]) == (201, 1)
    unknown = _handed_in(server, work={"doi": "10.5555/nobody.9"})
    assert (unknown[0], unknown[1]["field"]) == (422, "title")
    wrong = {"doi": {"doi": "no doi", "title": "x"}, "year": {"title": "x", "year": "soon"}, "title": {"year": "2020"}}
    refused = {name: _handed_in(server, work=one) for name, one in wrong.items()}
    assert {name: (status, said["field"]) for name, (status, said) in refused.items()} == {
        name: (422, name) for name in wrong
    }


def test_only_the_own_lab_is_added_to(server: Served) -> None:
    body = {"work": {"title": "x"}}
    people = ("other_researcher", "expert", "company", "office")
    asked = {who: server.ask(who, "POST", f"/api/labs/{LAB}/works", json=body).status_code for who in people}
    assert asked == {"other_researcher": 404, "expert": 403, "company": 403, "office": 403}


def _finding(server: Served, q: str, **more: str) -> dict[str, Any]:
    answer = server.ask("researcher", "GET", f"/api/labs/{LAB}/finding", params={"q": q, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_what_is_missing_is_named_and_mended_within_seconds(server: Served) -> None:
    asked = "磷化銦雷射二極體的封裝老化"
    before = _finding(server, asked)
    assert before["place"] != "first"
    assert [one["zh"] for one in before["missing"] if "磷化銦" in one["zh"]] != []
    work = {"title": "磷化銦雷射二極體封裝老化之加速試驗", "abstract": "比較三種封裝的老化壽命。", "year": "2025"}
    assert _handed_in(server, work=work)[1]["added"] == 1
    for _ in range(150):
        after = _finding(server, asked)
        if after["is_current"] and after["place"] == "first":
            break
        sleep(0.2)
    assert (after["place"], after["speaking"]["title"]) == ("first", work["title"])
    assert [one for one in after["missing"] if "磷化銦" in one["zh"]] == []
    # What is not offered, and what was retired though it says it.
    offers = server.ask("researcher", "GET", f"/api/labs/{LAB}").json()["offers"]
    absent = next(kind for kind in ("investment", "training", "licensing") if kind not in offers)
    assert len(_finding(server, asked, kind=absent)["missing"]) == len(after["missing"]) + 1


def test_no_need_is_given_away(server: Served) -> None:
    # The very words of a confidential need are asked for: the answer has none but those, and the lab's own.
    need = server.ask("expert", "GET", "/api/needs/need-1-01").json()
    asked = need["asks"][0]["text"]
    found = json.dumps(_finding(server, asked), ensure_ascii=False)
    for text in (need["title"], need["description"], need["id"], need["company"]):
        assert text not in found.replace(asked, "")


def test_a_photo_is_drawn_anew(server: Served) -> None:
    path = f"/api/labs/{LAB}/photo"
    before = server.ask("expert", "GET", path)
    assert before.headers["content-type"] == "image/svg+xml"
    body = {"content": base64.b64encode(LOGO).decode()}
    assert server.ask("researcher", "PUT", path, json=body).status_code == 200
    shown = server.ask("expert", "GET", path)
    assert (shown.headers["content-type"], shown.content[:4]) == ("image/png", b"\x89PNG")
    assert server.ask("researcher", "DELETE", path).status_code == 200
    assert server.ask("expert", "GET", path).content == before.content
    logo = "/api/alliances/al-a/logo"
    people = ("lead", "office", "expert", "stranger", "company")
    assert {who: server.ask(who, "PUT", logo, json=body).status_code for who in people} == {
        "lead": 200,
        "office": 200,
        "expert": 403,
        "stranger": 403,
        "company": 403,
    }
    assert server.ask("lead", "PUT", "/api/alliances/al-b/logo", json=body).status_code == 404


_HUGE_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02"
BAD = {
    "nothing": b"",
    "text": b"hello",
    "a script": b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>',
    "a picture from elsewhere": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://a.example/x.png"/></svg>',
    "a style that fetches": b'<svg xmlns="http://www.w3.org/2000/svg"><style>@import url(http://a.example)</style></svg>',
    "an entity": b'<!DOCTYPE svg [<!ENTITY a "b">]><svg xmlns="http://www.w3.org/2000/svg"/>',
    "a handler in a filter": b'<svg xmlns="http://www.w3.org/2000/svg"><filter id="a"/></svg>',
    "shapes without end": b'<svg xmlns="http://www.w3.org/2000/svg">' + b"<g/>" * 4_000 + b"</svg>",
    "a PNG of more points than memory": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    + (60_000).to_bytes(4, "big") * 2
    + b"\x08\x02",
    "a PNG cut off": drawn_from(LOGO)[:60],
    "a JPEG that is none": b"\xff\xd8\xff\xe0\0\x10JFIF",
}


@pytest.mark.parametrize("sent", BAD.values(), ids=BAD)
def test_what_is_no_harmless_picture_is_refused(sent: bytes) -> None:
    with pytest.raises(PictureError):
        drawn_from(sent)
    # The control: what is one is drawn, and what was drawn is drawn again.
    assert drawn_from(drawn_from(LOGO)).startswith(b"\x89PNG")


def test_a_lab_is_claimed_by_the_name_of_its_head(server: Served) -> None:
    lab = server.ask("expert", "GET", "/api/labs/lab-1-02").json()
    first, last = lab["pi"].split()[0], lab["pi"].split()[-1]
    for q in (lab["pi"], f"{last}, {first}", f"{last} {first}", first.upper(), lab["pi"].replace("-", "")):
        items = server.ask("newcomer", "GET", "/api/lab-names", params={"q": q}).json()["items"]
        assert (q, [one["head"] for one in items if one["id"] == "lab-1-02"]) == (q, [lab["pi"]])
    chinese = server.ask("expert", "GET", f"/api/labs/{LAB}").json()["pi"]
    items = server.ask("newcomer", "GET", "/api/lab-names", params={"q": chinese}).json()["items"]
    assert LAB in [one["id"] for one in items]


def test_a_researcher_does_it_all_in_pages_without_script(server: Served) -> None:
    with visiting(server, "other_researcher") as somebody:
        page = somebody.open("/my-lab/lab-1-02")
        form = page.locator("form[action$='/works'][enctype]")
        file = {"name": "mine.bib", "mimeType": "text/plain", "buffer": BIBTEX.encode()}
        page.locator("#adding summary").nth(1).click()
        form.locator("input[name=file]").set_input_files(file)
        form.locator("button").click()
        expect(page.locator(".notice.warn[role=status]")).to_contain_text("已新增 1 筆成果")
        expect(page.locator("#evidence")).to_contain_text("Subsurface cracks after grinding of gallium nitride")
        page.locator("textarea[name=q]").fill("晶圓研磨後的次表面裂紋")
        page.locator("form[action$='/finding'] button").click()
        expect(page.locator(".finding")).to_contain_text("專家會看到的內容")


def test_the_pages_can_be_used_by_everybody(server: Served, browser: Browser) -> None:
    for lang in LANGS:
        with browsing(browser, server, "researcher", lang) as somebody:
            places = {
                "my-lab": f"/my-lab/{LAB}",
                "finding": f"/my-lab/{LAB}/finding?q=%E6%8B%8B%E5%85%89%E6%B6%B2%E9%85%8D%E6%96%B9",
            }
            look_over(somebody, lang, places)
        with browsing(browser, server, "expert", lang) as somebody:
            look_over(somebody, lang, {"lab": f"/labs/{LAB}", "lab-similar": f"/labs/{LAB}/similar"})
