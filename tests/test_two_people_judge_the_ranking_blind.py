"""Two people grade pooled results, neither knowing of the other until both are done; what comes of it is evaluated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from indexer.database import open_engine, writing
from indexer.settings import Settings
from matcher.review.intake import adopt
from matcher.review.people import declare_stake
from tests.conftest import Databases, Gloria
from tests.rig.servers.served import Served, served
from tests.rig.worlds.audit_rows import stored_rows

NEEDS = ["need-1-01", "need-1-02"]
OURS = [f"need-1-{number:02}" for number in (2, 4, 5)]
SECRET_RANKING = {"other": {"need-1-01": ["lab-1-12", "lab-1-01"], "need-1-02": ["lab-1-12"]}}


@pytest.fixture(scope="module")
def server(
    databases: Databases, indexed_home: Path, slice_of_world: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("judging") / "home"
    settings = Settings(home=folder, database_url=databases.at_head("sqlite", folder), encoders="bundled-use")
    with served(settings, indexed_home, slice_of_world) as server:
        engine = open_engine(settings)
        with writing(engine) as session:
            adopt(session, need_ids=OURS, alliance_id="al-a", by=None, now=datetime.now(UTC))
        engine.dispose()
        yield server


def done(server: Served, who: str, method: str, path: str, **more: Any) -> Any:
    answer = server.ask(who, method, path, **more)
    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json()


def begun(server: Served, judges: tuple[str, str] = ("expert", "colleague"), **more: Any) -> int:
    body = {"judges": [server.accounts[one] for one in judges], "needs": NEEDS, "depth": 3, "runs": SECRET_RANKING}
    return int(done(server, "office", "POST", "/api/judgings", json=body | more)["id"])


def grade(server: Served, who: str, number: int, pair_id: int, **word: Any) -> Any:
    return done(server, who, "POST", f"/api/judgings/{number}/pairs/{pair_id}/grade", json=word)


def pairs(server: Served, who: str, number: int) -> list[dict[str, Any]]:
    """Go through a session from its first pair on, as somebody."""
    path = f"/api/judgings/{number}"
    at = done(server, who, "GET", path)["yours"]["first_open"]
    found: list[dict[str, Any]] = []
    while at is not None:
        found.append(done(server, who, "GET", f"{path}/pairs/{at}"))
        at = found[-1]["next"]
    return found


def graded(server: Served, who: str, number: int, *grades: int | None) -> list[int]:
    """Grade a whole session, one grade for each pair in turn, the last for all that are left; None: can't say."""
    numbers = [pair["judged_pair_id"] for pair in pairs(server, who, number)]
    for place, pair_id in enumerate(numbers):
        value = grades[min(place, len(grades) - 1)]
        word: dict[str, Any] = {"said": "cannot_say"} if value is None else {"grade": value}
        grade(server, who, number, pair_id, **word)
    return numbers


def test_from_a_pool_to_figures_about_the_ranking(server: Served, gloria: Gloria, tmp_path: Path) -> None:
    number = begun(server, name="spot check")
    path = f"/api/judgings/{number}"
    office = done(server, "office", "GET", path)
    assert [one["name"] for one in office["pooled"]] == ["bm25", "dense", "gloria", "other", "tfidf"]
    assert {one["found"] for one in office["pooled"] if one["name"] != "other"} == {6}
    assert max(6, len(NEEDS) * 3) <= office["pairs"] <= len(NEEDS) * (4 * 3 + 2)
    assert [member["done"] for member in office["members"]] == [0, 0]

    ids = graded(server, "expert", number, 3, 0, 2, 1)
    assert len(ids) == office["pairs"]
    # A changed mind is one more word; the second judge can't say about the last pair.
    grade(server, "expert", number, ids[1], grade=1, note="second thoughts")
    graded(server, "colleague", number, 3, 3, 2, *[1] * (len(ids) - 4), None)

    found = done(server, "expert", "GET", path)
    both = len(ids) - 1
    assert found["finished_at"] is not None
    assert found["cannot_say"] == [0, 1]
    assert (found["agreement"]["pairs"], found["agreement"]["equal"]) == (both, (both - 1) / both)
    assert found["agreement"]["table"] == [[0] * 4, [0, both - 3, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1]]
    far = [(one["judged_pair_id"], one["blind_grades"], one["final"]) for one in found["far_apart"]]
    assert far == [(ids[1], [1, 3], 1)]

    settled = {"grade": 2, "note": "looked at both"}
    place = f"{path}/pairs/{ids[1]}"
    assert server.ask("lead", "POST", f"{place}/settlement", json=settled).status_code == 404
    done(server, "office", "POST", f"{path}/settlers", json={"account": server.accounts["lead"]})
    assert done(server, "lead", "POST", f"{place}/settlement", json=settled)["settled"]["grade"] == 2
    # Changing one's mind afterwards changes what it comes to, never the agreement.
    grade(server, "colleague", number, ids[0], grade=2)
    after = done(server, "office", "GET", path)
    assert (after["agreement"], after["judged"]) == (found["agreement"], len(ids))
    done(server, "office", "POST", f"{path}/close")
    assert server.ask("expert", "POST", f"{place}/grade", json={"grade": 0}).status_code == 409

    text = server.ask("expert", "GET", f"{path}/qrels").text
    lines = [line.split() for line in text.splitlines()]
    assert sorted({need for need, _, _, _ in lines}) == NEEDS
    # Lower of 3 and 2; settled; agreed; and the rest as both, or the one who could, said.
    assert sorted(value for *_, value in lines) == sorted(["2", "2", "2", *["1"] * (len(ids) - 3)])
    _the_same_by_command(server, gloria, tmp_path, number, text, found)


def _the_same_by_command(
    server: Served, gloria: Gloria, folder: Path, number: int, text: str, found: dict[str, Any]
) -> None:
    home = {"home": server.settings.home}
    (listed,) = [one for one in gloria("judge", "list", "--json", **home).document["judgings"] if one["id"] == number]
    assert (listed["state"], listed["name"]) == ("closed", "spot check")
    status = gloria("judge", "status", number, "--json", **home).document
    assert status["agreement"] == found["agreement"]
    told = gloria("--lang", "en", "judge", "status", number, **home).out
    assert f"Cohen's kappa  {found['agreement']['kappa']:.3f}" in told
    assert f"Cohen's kappa, quadratic weights  {found['agreement']['weighted_kappa']:.3f}" in told
    out = folder / "judged.qrels"
    assert gloria("judge", "qrels", number, "--out", out, **home).code == 0
    assert out.read_text() == text
    own = folder / "own.qrels"
    assert gloria("judge", "qrels", number, "--out", own, "--judge", "colleague@example.org", **home).code == 0
    judge = server.accounts["colleague"]
    assert own.read_text() == server.ask("office", "GET", f"/api/judgings/{number}/qrels?judge={judge}").text
    assert len(own.read_text().splitlines()) == len(text.splitlines()) - 1
    measured = gloria("evaluate", "--qrels", out, "--json", **home)
    assert (measured.code, measured.document["n_needs"]) == (0, len(NEEDS)), measured.err
    assert 0 < measured.document["systems"]["gloria"]["nDCG@10"] <= 1


def test_a_judge_meets_texts_and_nothing_of_rankings_or_of_the_other(server: Served) -> None:
    number = begun(server)
    path = f"/api/judgings/{number}"
    first = pairs(server, "expert", number)
    assert [one["judged_pair_id"] for one in first] == [
        one["judged_pair_id"] for one in pairs(server, "colleague", number)
    ]
    # The pairs of a need stay together, in an order that is no ranking's.
    needs = [one["need_id"] for one in first]
    assert needs == sorted(needs, key=needs.index)
    pool = {"gloria", "tfidf", "bm25", "dense", "other", "ranks", "score", "band", "rank"}
    graded(server, "expert", number, 3)
    for who in ("expert", "colleague"):
        detail = done(server, who, "GET", path)
        assert {detail[name] for name in ("agreement", "judged", "pooled", "seed", "generation")} == {None}
        assert [one["done"] is None for one in detail["members"]] == [who != "expert", who == "expert"]
        assert detail["far_apart"] == []
    seen = [done(server, "colleague", "GET", f"{path}/pairs/{one['judged_pair_id']}") for one in first]
    assert [(one["own"], one["words"], one["settled"]) for one in seen] == [(None, None, None)] * len(first)
    assert [name for name in pool if f'"{name}"' in json.dumps(seen)] == []
    for who, judge, status in (
        ("colleague", "expert", 409),
        ("colleague", "", 409),
        ("office", "expert", 409),
        ("expert", "expert", 200),
        ("stranger", "expert", 404),
        ("company", "expert", 403),
    ):
        query = {"judge": server.accounts[judge]} if judge else {}
        assert (who, server.ask(who, "GET", f"{path}/qrels", params=query).status_code) == (who, status)
    # The control: once the second one has finished, both are told.
    graded(server, "colleague", number, 1)
    (one, *_) = pairs_of(server, "expert", number, first)
    assert [word["grade"] for word in one["words"]] == [3, 1]
    assert len(done(server, "expert", "GET", path)["far_apart"]) == len(first)


def pairs_of(server: Served, who: str, number: int, known: list[dict[str, Any]]) -> list[dict[str, Any]]:
    path = f"/api/judgings/{number}/pairs"
    return [done(server, who, "GET", f"{path}/{one['judged_pair_id']}") for one in known]


def test_only_who_may_read_a_need_is_asked_to_judge_it(server: Served, gloria: Gloria) -> None:
    body = {"judges": [server.accounts["expert"], server.accounts["stranger"]], "needs": NEEDS}
    answer = server.ask("office", "POST", "/api/judgings", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, "needs[1]")
    assert "need-1-01" not in answer.text
    told = gloria(
        "--lang", "en", "judge", "start", "--needs", "need-1-01,need-1-03", "--judges", "expert@example.org",
        "colleague@example.org", home=server.settings.home,
    )  # fmt: skip
    assert (told.code, told.err.strip()) == (1, "need need-1-03: there is no such need that both judges may read")
    for wrong, field in (
        ({"needs": ["none"]}, "needs[1]"),
        ({"judges": [server.accounts["expert"]] * 2}, "judges"),
        ({"judges": [server.accounts["expert"], server.accounts["company"]]}, "judges"),
        ({"count": 3}, "needs"),
        ({"needs": None, "count": 400}, "count"),
        ({"rankers": ["magic"]}, "rankers"),
        ({"rankers": []}, "rankers"),
        ({"depth": 0}, "depth"),
    ):
        body = {"judges": [server.accounts["expert"], server.accounts["colleague"]], "needs": NEEDS} | wrong
        answer = server.ask("office", "POST", "/api/judgings", json=body)
        assert (wrong, answer.status_code, answer.json()["field"]) == (wrong, 422, field)
    # The control: needs that both may read are drawn from, and nothing else.
    number = begun(server, needs=None, count=4, runs={})
    assert {one["need_id"] for one in pairs(server, "expert", number)} == {"need-1-01", *OURS}


def test_what_a_judge_may_no_longer_see_is_no_longer_shown(server: Served) -> None:
    number = begun(server, ("lead", "colleague"), needs=["need-1-04", "need-1-05"], runs={})
    path = f"/api/judgings/{number}"
    before = pairs(server, "lead", number)
    engine = open_engine(server.settings)
    with writing(engine) as session:
        gone = before[0]["lab_id"]
        declare_stake(session, account_id=server.accounts["lead"], party="lab", party_id=gone, now=datetime.now(UTC))
    engine.dispose()
    hidden = [one for one in before if one["lab_id"] == gone]
    yours = done(server, "lead", "GET", path)["yours"]
    assert yours["not_visible"] == len(hidden)
    assert yours["first_open"] not in {one["judged_pair_id"] for one in hidden}
    place = f"{path}/pairs/{before[0]['judged_pair_id']}"
    assert server.ask("lead", "GET", place).status_code == 404
    assert server.ask("lead", "POST", f"{place}/grade", json={"grade": 1}).status_code == 404
    assert server.ask("colleague", "GET", place).status_code == 200
    # Nobody may be asked to judge a lab in which they have an interest.
    body = {"judges": [server.accounts["lead"], server.accounts["expert"]], "needs": ["need-1-04", "need-1-05"]}
    assert server.ask("office", "POST", "/api/judgings", json=body).json()["field"] == "judges"


def test_the_trail_says_who_saw_which_need_and_who_graded(server: Served) -> None:
    number = begun(server)
    (first, *_) = pairs(server, "expert", number)
    path = f"/api/judgings/{number}/pairs/{first['judged_pair_id']}/grade"
    answer = server.ask("expert", "POST", path, json={"grade": 2})
    (row,) = [row for row in stored_rows(server.settings) if row.of.request_id == answer.headers["x-request-id"]]
    assert (row.of.operation, row.of.outcome, row.of.rights) == ("grade_pair", "done", "expert al-a")
    assert row.subjects == {f"judging {number}", f"need {first['need_id']}"}


def test_a_command_begins_a_session_with_rankings_of_others_and_closes_it(
    server: Served, gloria: Gloria, tmp_path: Path
) -> None:
    run = tmp_path / "rival.txt"
    run.write_text("need-1-01 Q0 lab-1-12 1 2.0 x\nneed-1-01 Q0 none 2 1.0 x\nneed-1-01 Q0 lab-1-11\n", "utf-8")
    people = ["--judges", "Expert@example.org", "colleague@example.org"]
    home = {"home": server.settings.home}
    begun_by = ["judge", "start", "--needs", "need-1-01", "--depth", 2, "--ranker", "bm25", "--run", run, *people]
    answer = gloria("--lang", "en", *begun_by, "--json", **home)
    # Good lines are kept, and each bad one is told.
    assert (answer.code, answer.err.splitlines()) == (
        1,
        [
            "rival.txt:3 expected `need Q0 lab rank score tag` with a number as score",
            "rival: labs for need-1-01 that are not stored are left out, such as none (1 in all)",
        ],
    )
    found = answer.document
    assert (found["needs"], sorted(found["pooled"]), found["pooled"]["bm25"]["found"]) == (1, ["bm25", "rival"], 2)
    assert len(pairs(server, "expert", found["judging"])) == found["pairs"]
    unfinished = gloria("--lang", "en", "judge", "qrels", found["judging"], "--out", tmp_path / "none", **home)
    assert (unfinished.code, (tmp_path / "none").exists()) == (1, False)
    assert "both judges have to finish first" in unfinished.err
    assert gloria("judge", "close", found["judging"], **home).code == 0
    assert gloria("judge", "close", found["judging"], **home).code == 1
    assert gloria("judge", "status", 999, **home).code == 1
    missing = gloria("judge", "start", "--needs", "1", "--judges", "nobody@example.org", "expert@example.org", **home)
    assert missing.code == 1
    rows = [row.of.operation for row in stored_rows(server.settings) if row.of.how == "command"]
    assert {"judge start", "judge close"} <= set(rows)
