"""How long people wait for pages while others match: every page of a large alliance, with two clients that match.

    python -m tests.rig.load.pages [--labs 5000] [--needs 2000] [--matching 2] [--rounds 8] [--home FOLDER]

In: how many synthetic labs and open needs, how many clients match meanwhile, how often each page is asked for. Out: the
waiting times over all pages, and those of the slowest ones. One person after the other asks for every page of the
product that its role may see, in an order by chance, each time with another record; meanwhile each matching client asks
without a pause for the 20 best labs of needs that nobody has encoded before, of another alliance. All other needs are
open and in one alliance, three hundred of them with a case. It exists because a desk is opened a hundred times a day,
mostly while a colleague waits for a ranking. With `--home` the index stays in that folder. It is a command and no test,
because its figures are those of the machine it runs on.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from sqlmodel import select

from indexer.database import open_engine, writing
from indexer.records.record_tables import Lab, Need
from indexer.settings import Settings
from matcher.review.intake import adopt
from matcher.review.proposals import StoredPairing
from tests.rig.load.clients import Answer, Crowd, Request, Share, crowd, waits_ms
from tests.rig.load.matches import SHOWN, prepared, until_ready
from tests.rig.servers.served import Served, existing, page_routes_of, served
from tests.rig.servers.warm_tour import VISITORS
from tests.rig.worlds.small_world import proposal_of

CASES = 300
UNSEEN_NEEDS_PER_CLIENT = 600
SLOWEST = 8
Page = tuple[str, str]
"""Who asks, and a path as the application declares it."""


def fill_the_alliance(server: Served, n_needs: int) -> list[str]:
    """Give the known needs to one alliance and make cases of some; return the others, which another alliance has."""
    now = datetime.now(UTC)
    engine = open_engine(server.settings)
    with writing(engine) as session:
        needs = sorted(session.exec(select(Need.id).where(Need.id.startswith("synth"))).all())  # type: ignore[attr-defined]
        labs = sorted(session.exec(select(Lab.id)).all())
        adopt(session, need_ids=needs[:n_needs], alliance_id="al-a", by=None, now=now)
        pairings = [
            StoredPairing(need_id=need, lab_id=lab) for need, lab in zip(needs[:CASES], labs[:CASES], strict=True)
        ]
        session.add_all(pairings)
        session.flush()
        proposals = [proposal_of(pairing.id or 0, server.accounts["expert"]) for pairing in pairings]
        session.add_all(proposals)
        session.flush()
        decided = [(proposal.pairing_id, proposal.id) for proposal in proposals]
        adopt(session, need_ids=needs[n_needs:], alliance_id="al-b", by=None, now=now)
    engine.dispose()
    for pairing_id, proposal_id in decided:
        body = {"verdict": "accept", "proposal_id": proposal_id}
        server.ask("expert", "POST", f"/api/pairings/{pairing_id}/decision", json=body).raise_for_status()
    return needs[n_needs:]


def pages_of(server: Served) -> dict[Page, list[str]]:
    """Return for each role and page that it may see the addresses to ask for, one for each of some records."""
    paths = [path for method, path, _ in page_routes_of() if method == "GET"]
    ids = existing(server.settings, paths)
    found: dict[Page, list[str]] = {}
    for path in paths:
        n_records = max((len(ids.get(name, [])) for name in ids if f"{{{name}}}" in path), default=1)
        places = [
            path.format_map(defaultdict(lambda: "none", {name: of[n % len(of)] for name, of in ids.items() if of}))
            for n in range(n_records)
        ]
        for who in VISITORS:
            seen = [place for place in places if _is_page(server, who, place)]
            if seen:
                found[who, path] = seen
    return found


def _is_page(server: Served, who: str, place: str) -> bool:
    answer = server.ask(who, "GET", place, follow_redirects=False)
    return answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")


def measure(
    server: Served, pages: dict[Page, list[str]], unseen: list[str], asking: Crowd, *, matching: int, rounds: int
) -> str:
    """Ask for all pages while the clients match; return the figures.

    Raises:
        AssertionError: a page or a match was not answered with 200.
    """
    ended = threading.Event()
    matches: list[Answer] = []

    def match() -> None:
        left = iter(unseen)
        while not ended.is_set():
            asked: list[list[Request]] = [
                [("GET", f"/api/needs/{next(left)}/matches?top={SHOWN}", None) for _ in range(3)]
                for _ in range(matching)
            ]
            matches.extend(asking.ask([Share(server.url, server.keys["stranger"], some) for some in asked]))

    beside = threading.Thread(target=match)
    if matching:
        beside.start()
    waited: dict[Page, list[Answer]] = defaultdict(list)
    chance, began = random.Random(106), time.perf_counter()
    try:
        for number in range(rounds):
            for page in chance.sample(sorted(pages), len(pages)):
                places = pages[page]
                at = time.perf_counter()
                answer = server.ask(page[0], "GET", places[number % len(places)], follow_redirects=False)
                waited[page].append((answer.status_code, time.perf_counter() - at))
    finally:
        took_s = time.perf_counter() - began
        ended.set()
        if matching:
            beside.join()
    answers = [answer for of in waited.values() for answer in of]
    wrong = [(page, status) for page, of in waited.items() for status, _ in of if status != 200]
    if wrong or any(status != 200 for status, _ in matches):
        raise AssertionError(f"not answered with 200: {wrong}, {sum(status != 200 for status, _ in matches)} matches")
    slowest = sorted(waited.items(), key=lambda of: -_p95_ms(of[1]))[:SLOWEST]
    beside_them = f"{len(matches)} matches beside them, {len(matches) / took_s:.1f}/s" if matching else "nobody matches"
    asked = f"{len(pages)} pages of {len(VISITORS)} roles, {len(answers)} requests"
    lines = [
        f"{asked}: p95 {_p95_ms(answers):.0f} ms, {waits_ms(answers)}; {beside_them}",
        *(f"  {path} ({who}): p95 {_p95_ms(of):.0f} ms, {waits_ms(of)}" for (who, path), of in slowest),
    ]
    return "\n".join(lines)


def _p95_ms(answers: list[Answer]) -> float:
    waits = sorted(seconds * 1000 for _, seconds in answers)
    return waits[min(len(waits) - 1, int(0.95 * len(waits)))]


def main() -> None:
    """Serve synthetic labs and needs, measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labs", type=int, default=5_000, help="where the home is still empty")
    parser.add_argument("--needs", type=int, default=2_000)
    parser.add_argument("--matching", type=int, default=2, help="how many clients match meanwhile")
    parser.add_argument("--rounds", type=int, default=8, help="how often each page is asked for")
    parser.add_argument("--home", type=Path, help="folder to keep the index in; default a throwaway one")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gloria-load-") as folder, crowd() as asking:
        home, records, own = chosen.home or Path(folder) / "indexed", Path(folder) / "records", Path(folder) / "home"
        unseen = chosen.matching * UNSEEN_NEEDS_PER_CLIENT
        prepared(home, records, chosen.labs, chosen.needs + unseen, known=chosen.needs)
        settings = Settings(home=own, database_url=f"sqlite:///{own}/gloria.db", second_factor="off")
        with served(settings, home, records) as server:
            new_ones = fill_the_alliance(server, chosen.needs)
            until_ready(server)
            pages = pages_of(server)
            for matching in (0, chosen.matching):
                figures = measure(server, pages, new_ones, asking, matching=matching, rounds=chosen.rounds)
                sys.stdout.write(figures + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
