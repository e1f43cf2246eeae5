"""`gloria backup` and `gloria restore` for whoever runs the machine."""

from __future__ import annotations

from pathlib import Path

from indexer.database import open_engine
from indexer.settings import Settings
from tests.conftest import Databases, Gloria
from tests.rig.faults.backed_up import fill_home, flip


def test_a_backup_is_made_rehearsed_and_brought_back(gloria: Gloria, databases: Databases, tmp_path: Path) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    databases.at_head("sqlite", home)
    settings = Settings(home=home)
    fill_home(open_engine(settings), settings)
    made = gloria("backup", "--to", elsewhere, "--json", home=home)
    assert made.code == 0, made.err
    folder = Path(made.document["path"])
    assert (folder.parent, made.document["files"]) == (elsewhere, 8)
    assert "there is no index" in made.document["index_problem"]

    checked = gloria("--lang", "en", "restore", folder.name, "--check", home=home, backups=str(elsewhere))
    assert checked.code == 0, checked.err + checked.out
    assert checked.out.count("passed  ") == 8
    assert f"backup {folder.name} can be used" in checked.out

    new = tmp_path / "new"
    done = gloria("restore", folder, "--into", new, "--json", home=home)
    assert (done.code, done.document["erased_again"], done.document["reindex"]) == (0, 0, True)
    flip(folder / "persons.key")
    damaged = gloria("restore", folder, "--check", "--json", home=home)
    assert (damaged.code, damaged.document["passed"]) == (1, False)
    assert f"{folder / 'persons.key'} is damaged" in damaged.document["checks"][0]["detail"]


def test_what_is_missing_is_said(gloria: Gloria, tmp_path: Path) -> None:
    nothing = gloria("backup", home=tmp_path / "home", lang="en")
    assert (nothing.code, "check GLORIA_HOME" in nothing.err) == (1, True)
    unknown = gloria("restore", "newest", "--check", home=tmp_path / "home", lang="en")
    assert (unknown.code, "there is no backup 'newest'" in unknown.err) == (1, True)
    assert not (tmp_path / "home").exists()
