"""Two labs are enough to say which one fits; a need that says little is told so instead of looking sure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from indexer.database import open_engine, writing
from indexer.records.importing import import_rows
from indexer.settings import Settings

LABS = [
    {"id": "solo", "name": "電池安全", "evidence": [{"title": "鋰電池熱失控預警"}]},
    {"id": "farm", "name": "農業無人機", "evidence": [{"title": "水稻病害空拍判讀"}]},
]
NEEDS = [
    {"id": "n1", "title": "鋰電池熱失控預警", "asks": [{"kind": "technology", "text": "鋰電池熱失控"}]},
    {"id": "n2", "title": "!!!"},
    {"id": "n3", "title": "鋰電池", "excluded_labs": ["SOLO", "nobody"]},
]


def _home(gloria: Any, folder: Path) -> Path:
    for name, rows in (("labs", LABS), ("needs", NEEDS)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        assert gloria("import", folder / f"{name}.jsonl", home=folder / "home").code == (1 if name == "needs" else 0)
    # A file that excludes nobody is refused; one of an earlier release was stored.
    engine = open_engine(Settings(home=folder / "home"))
    with writing(engine) as session:
        import_rows(session, "needs", NEEDS[2:])
    engine.dispose()
    assert gloria("reindex", home=folder / "home").code == 0
    return folder / "home"


LITTLE = (
    "%s says little: ask the company what it is about, by which method, for what use and with which figures; "
    "until then every lab is shown as weak"
)


def test_the_answer_says_how_much_it_is_worth(gloria: Any, tmp_path: Path) -> None:
    home = _home(gloria, tmp_path)

    match = gloria("match", "n1", "--json", home=home).document
    assert [warning["en"] for warning in match["warnings"]] == [LITTLE % "n1"]
    first = match["pairings"][0]
    assert (first["lab_id"], first["explanation"]["asks"][0]["covered"]) == ("solo", "yes")
    assert first["explanation"]["asks"][0]["passages"][0]["words"] == ["鋰電池熱失控"]
    assert match["pairings"][1]["explanation"]["for_company"]["en"] == (
        "Nothing that 農業無人機 shows speaks to this need."
    )

    empty = gloria("match", "n2", "--json", home=home).document
    assert [warning["en"] for warning in empty["warnings"]] == ["n2 says too little to be matched"]
    assert {pairing["band"] for pairing in empty["pairings"]} == {"weak"}


def test_an_excluded_lab_is_not_shown_however_its_id_is_written(gloria: Any, tmp_path: Path) -> None:
    home = _home(gloria, tmp_path)
    excluded = gloria("match", "n3", "--json", home=home).document
    assert [pairing["lab_id"] for pairing in excluded["pairings"]] == ["farm"]
    assert excluded["set_aside"]["excluded"] == ["solo"]
    # The control: the same words without the exclusion show it first.
    assert gloria("match", "n1", "--json", home=home).document["pairings"][0]["lab_id"] == "solo"
    unknown = "n3 excludes labs that are not stored: nobody; correct the id or name"
    assert [warning["en"] for warning in excluded["warnings"]] == [unknown, LITTLE % "n3"]
    assert (
        unknown in gloria("run", "--top", 2, "--out", tmp_path / "run.txt", "--lang", "en", home=home, columns=400).err
    )
