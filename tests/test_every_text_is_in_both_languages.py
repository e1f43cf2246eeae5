"""Every text of the product is in the catalogues, with the same places for values; none is left over."""

from __future__ import annotations

import ast
import io
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from jinja2.ext import babel_extract

from api.commands.refusals import TABLE as COMMANDS
from api.pages.shell.wording import Lang, Wording, all_terms
from api.requests.problems import TABLE as PROBLEMS
from indexer.wording import T_, Text, catalogues, read_catalogues, recognised
from tests.rig.servers.served import REPOSITORY

PACKAGES = ("indexer", "matcher", "api")
CATALOGUES = sorted(REPOSITORY.glob("*/locale/zh_Hant/*.po"))
_CONTEXT_END = "\x04"
_PLACES = re.compile(r"%\((\w+)\)[sdr]")
_CJK = re.compile(r"[\u4e00-\u9fff]")
_NO_WORDS = re.compile(r"^[^A-Za-z]*$")


@cache
def parsed() -> dict[Path, ast.Module]:
    """Return every module of the product."""
    paths = [path for package in PACKAGES for path in sorted((REPOSITORY / package).rglob("*.py"))]
    return {path.relative_to(REPOSITORY): ast.parse(path.read_text("utf-8")) for path in paths}


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    """Yield every call of the product's code: where it stands, the call, the last name of what is called."""
    for path, tree in parsed().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = node.func
                name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
                yield f"{path}:{node.lineno}", node, name


def message_of(call: ast.Call, name: str) -> str | None:
    """Return what a call of `T_`, `P_` or `not_found` looks up, None for other calls or if it is no literal."""
    given = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    if name == "T_" and len(given) == len(call.args) == 1:
        return given[0]
    if name == "P_" and len(given) == len(call.args) == 2:
        return _CONTEXT_END.join(given)
    if name == "not_found" and len(given) == len(call.args):
        return f"there is no such {given[0] if given else 'record'}"
    return None


def texts_in_code() -> set[str]:
    """Return every text that the code of any package says."""
    return {message for _, call, name in calls() if (message := message_of(call, name)) is not None}


def texts_in_use() -> set[str]:
    """Return every text that a template, the code or a closed list shows."""
    found = set(all_terms()) | texts_in_code()
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
    assert sorted(texts_in_use() - set(catalogues())) == []


def test_no_translation_is_left_over() -> None:
    assert sorted(set(catalogues()) - texts_in_use()) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_finds_its_texts_without_those_above(package: str) -> None:
    """Else it would say in English what the same process says in Chinese once more of it was imported."""
    below = PACKAGES[: PACKAGES.index(package) + 1]
    known = {text for one in below for text in read_catalogues(REPOSITORY / one / "locale")}
    said = {message_of(call, name) for place, call, name in calls() if place.startswith(f"{package}/")} - {None}
    assert sorted(str(text) for text in said - known) == []


def test_every_text_is_a_literal() -> None:
    """Else nobody could find it; the one exception puts the name of what is missing into it."""
    made = [place for place, call, name in calls() if name in ("T_", "P_") and message_of(call, name) is None]
    assert [place.partition(":")[0] for place in made] == ["api/requests/problems.py"]


def refusals() -> dict[str, tuple[int, ...]]:
    """Return the errors whose words reach a user, each with the places of its words among what it is made of."""
    told = {kind.__name__ for kind, _, _ in PROBLEMS} | {place.rpartition(".")[2] for place in COMMANDS}
    told |= {"StaleCaseError", "JobRefusedError", "KeyReusedError", "BadParameter", "forbidden", "TooMuchForSheetError"}
    told |= {"ErasureError", "MailError"}
    told -= {"ValidationError", "ArgumentError", "DBAPIError", "OperationalError", "DatabaseError", "OSError"}
    told -= {"ModuleNotFoundError"}
    faults = {"TextError": (0, 1), "FieldError": (0, 1), "TooMuchError": (0, 1), "Fault": (1, 2), "RowProblem": (3, 4)}
    return (
        dict.fromkeys(told, (0,))
        | {"PeopleError": (1,), "SamePersonError": (1,), "ProblemError": (2,), "Refusal": (2,)}
        | faults
    )


def in_one_language(said: ast.expr) -> bool:
    """Whether what a refusal is made of is a plain literal, or put together in place."""
    return isinstance(said, ast.JoinedStr | ast.BinOp) or (isinstance(said, ast.Constant) and bool(said.value))


def assigned_in_one_language(path: Path) -> set[str]:
    """Return the names to which a module assigns words in one language."""
    found = set()
    for node in ast.walk(parsed()[path]):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = (
                    zip(target.elts, node.value.elts, strict=True)
                    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                    else [(target, node.value)]
                )
                found |= {one.id for one, value in pairs if isinstance(one, ast.Name) and in_one_language(value)}
    return found


def test_no_refusal_is_made_of_words_without_chinese() -> None:
    places = refusals()
    wrong = []
    for place, call, name in calls():
        for said in (call.args[n] for n in places.get(name, ()) if n < len(call.args)):
            named = isinstance(said, ast.Name) and said.id in assigned_in_one_language(Path(place.partition(":")[0]))
            if in_one_language(said) or named:
                wrong.append(f"{place} {ast.unparse(said)}")
    assert wrong == []


def test_translations_have_the_same_places_for_values() -> None:
    wrong = []
    for text, said in catalogues().items():
        for one in [said] if isinstance(said, str) else said:
            if Counter(_PLACES.findall(text)) != Counter(_PLACES.findall(one)):
                wrong.append(text)
    assert wrong == []


def test_translations_are_chinese() -> None:
    """What is the same in both is a name or a unit, and there are few of those."""
    same = sorted(text for text, said in catalogues().items() if not _CJK.search(_PLACES.sub("", str(said))))
    assert [text for text in same if not _NO_WORDS.match(_PLACES.sub("", text))] == [
        "  of %(tier)s members",
        "%(name)s %(part)s: %(title)s, which %(words)s.",
        "--name: %(error)s",
        "Assertion failed, %(error)s",
        "GET %(path)s: %(error)r",
        "KPI",
        "Value error, %(error)s",
        "zh, en, ja …",
    ]


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: f"{path.parts[-4]}-{path.stem}")
def test_catalogues_are_whole(path: Path) -> None:
    with path.open("rb") as file:
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
    texts: Counter[tuple[str | None, str]] = Counter()
    for path in CATALOGUES:
        with path.open("rb") as file:
            for message in read_po(file, locale="zh_Hant"):
                if message.id:
                    texts.update([(message.context, message.id if isinstance(message.id, str) else message.id[0])])
    assert [text for text, times in texts.items() if times > 1] == []


def test_an_error_carries_its_text_to_whoever_catches_it() -> None:
    inner = ValueError(T_("give at most %(most)s", most="1,000"))
    outer = ValueError(T_("%(wrong)s; %(right)s", wrong=T_("is empty"), right=str(inner)))
    said = str(outer)
    assert isinstance(said, Text)
    assert (said.en, said.zh) == ("is empty; give at most 1,000", "空白；至多 1,000")


def test_a_stored_sentence_is_recognised() -> None:
    """What stands in a row of the database, or comes from a library, is found again with its values."""
    said = recognised('"labs" is not a list; give at most 5')
    assert isinstance(said, Text)
    assert said.zh == '"labs" 不是清單；至多 5'
    assert recognised("nothing of the sort was ever said here") == "nothing of the sort was ever said here"
    assert not isinstance(recognised("nothing of the sort was ever said here"), Text)
