"""Every text of the pages is in the catalogues, with the same places for values; none is left over."""

from __future__ import annotations

import io
import re
from collections import Counter

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

from api.pages.terms import all_terms
from api.pages.wording import LOCALE_FOLDER, Lang, Wording, catalogue
from tests.serving import REPOSITORY

_PLACES = re.compile(r"%\((\w+)\)[sd]")
_CJK = re.compile(r"[\u4e00-\u9fff]")


def texts_in_use() -> set[str]:
    """Return every text that a template, the code or a closed list shows."""
    found = set(all_terms())
    for folder in ("api/pages", "api/templates"):
        options = {"trimmed": "false", "extensions": "jinja2.ext.i18n,jinja2.ext.loopcontrols", "trim_blocks": "true"}
        rows = extract_from_dir(
            REPOSITORY / folder,
            [("**.py", "python"), ("**.html", "jinja2.ext:babel_extract")],
            {"**.html": options},
            keywords={"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)},
        )
        for _, _, message, _, _ in rows:
            found.add(message if isinstance(message, str) else message[0])
    return found


def test_every_text_has_a_translation() -> None:
    assert sorted(texts_in_use() - set(catalogue())) == []


def test_no_translation_is_left_over() -> None:
    assert sorted(set(catalogue()) - texts_in_use()) == []


def test_translations_have_the_same_places_for_values() -> None:
    wrong = []
    for text, said in catalogue().items():
        for one in [said] if isinstance(said, str) else said:
            if Counter(_PLACES.findall(text)) != Counter(_PLACES.findall(one)):
                wrong.append(text)
    assert wrong == []


def test_translations_are_chinese() -> None:
    """What is the same in both is a name or a unit, and there are few of those."""
    same = sorted(text for text, said in catalogue().items() if not _CJK.search(str(said)))
    assert same == ["KPI"]


@pytest.mark.parametrize("path", sorted((LOCALE_FOLDER / "zh_Hant").glob("*.po")), ids=lambda path: path.stem)
def test_catalogues_are_whole(path: object) -> None:
    with open(str(path), "rb") as file:  # noqa: PTH123 (the parameter is a path already)
        messages = list(read_po(file, locale="zh_Hant", abort_invalid=True))
    assert [message.id for message in messages if message.id and (message.fuzzy or not message.string)] == []


def test_the_extraction_sees_a_new_text() -> None:
    template = io.BytesIO(b"{% trans %}Not there yet{% endtrans %}{{ _('Nor this') }}")
    found = [message for _, _, message, _ in babel_extract(template, ("_", "gettext"), [], {"silent": "false"})]
    assert found == ["Not there yet", "Nor this"]


def test_days_and_amounts_read_as_the_language_has_them() -> None:
    zh, en = Wording(Lang.ZH), Wording(Lang.EN)
    assert (zh.day("2020-03-02"), en.day("2020-03-02")) == ("109年3月2日", "2020-03-02")
    assert (zh.money(1_234_567), en.money(1_234_567)) == ("1,234,567 元", "NT$ 1,234,567")
    assert (zh.moment("2020-03-01T17:30:00+00:00"), en.day(None)) == ("109年3月2日 01:30", "—")


def test_no_text_is_translated_twice() -> None:
    texts: Counter[str] = Counter()
    for path in (LOCALE_FOLDER / "zh_Hant").glob("*.po"):
        with path.open("rb") as file:
            for message in read_po(file, locale="zh_Hant"):
                texts.update([message.id if isinstance(message.id, str) else message.id[0]] if message.id else [])
    assert [text for text, times in texts.items() if times > 1] == []
