"""A list is sent, looked through, corrected by table, cell and row, and imported as it is then: by its owner alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from api.jobs.job_queue import claim
from api.jobs.worker import JobRunner
from indexer.database import reading, writing
from indexer.instants import now
from indexer.records.importing import import_rows
from indexer.settings import Settings
from tests.rig.worlds.office_lists import school_office
from tests.rig.worlds.small_world import Asked, asked

PARTNERS = [{"school": "s-1"}, {"school": "s-2"}, {"school": "s-3"}]


@pytest.fixture
def here(settings: Settings) -> Iterator[Asked]:
    with asked(settings) as made:
        with writing(made.engine) as session:
            schools = [("s-1", "霧社科技大學"), ("s-2", "合歡大學"), ("s-3", "奇萊醫學院"), ("s-9", "別處大學")]
            import_rows(session, "schools", [{"id": key, "name": name} for key, name in schools])
            import_rows(session, "alliances", [{"id": "al-a", "name": "甲聯盟", "partners": PARTNERS}])
        yield made


def _sent(here: Asked, name: str, content: bytes, who: str = "expert", **more: Any) -> str:
    return str(here.done(who, "POST", "/api/import-drafts", params={"name": name, **more}, content=content)["id"])


def _imported(here: Asked, list_id: str, who: str = "expert") -> dict[str, Any]:
    """Begin the import and carry it out here, as a worker does."""
    job_id = here.done(who, "POST", f"/api/import-drafts/{list_id}/import")["id"]
    runner: JobRunner = here.client.app.state.jobs  # type: ignore[attr-defined]
    with writing(here.engine) as session:
        job = claim(session, worker="test", lease_s=60, now=now())
    assert job is not None
    runner._run(job)
    done: dict[str, Any] = here.done(who, "GET", f"/api/jobs/{job_id}/result")
    return {"job": job_id, **done}


def test_an_offices_workbook_is_understood_and_imported(here: Asked, tmp_path: Path) -> None:
    list_id = _sent(here, "師資.xlsx", school_office(tmp_path / "a.xlsx").read_bytes())
    found = here.done("expert", "GET", f"/api/import-drafts/{list_id}")
    tables = [(one["key"], one["title"], one["kind"], one["rows"], one["header_row"]) for one in found["tables"]]
    assert tables == [("0-3", "115年師資一覽", "labs", 12, 3), ("1-4", "企業需求", "needs", 6, 4)]
    columns = {one["heading"]: one["field"] for one in found["tables"][0]["columns"]}
    assert columns == {
        "序號": "-", "學校": "school", "實驗室名稱": "name", "計畫主持人/姓名": "pi", "計畫主持人/職稱": None,
        "研究專長": "summary", "關鍵字": "keywords", "可承接件數": "capacity", "迴避廠商": "conflicts",
    }  # fmt: skip
    assert [(one["kind"], one["created"], one["refused"]) for one in found["plan"]] == [
        ("labs", 12, 0),
        ("needs", 6, 0),
    ]
    result = _imported(here, list_id)
    assert (result["created"], result["refused"]) == (18, 0)
    with reading(here.engine) as session:
        schools = dict(session.execute(text("SELECT school, count(*) FROM lab WHERE id LIKE 'lab-%' GROUP BY 1")).all())
    assert schools == {None: 2, "s-1": 4, "s-2": 4, "s-3": 4}
    undone = here.done("expert", "POST", f"/api/jobs/{result['job']}/undo")
    assert (undone["removed"], undone["restored"]) == (18, 0)
