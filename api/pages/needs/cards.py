"""Cards: each proposed lab with everything that an expert decides by.

In: a person, pairings of a match or one stored pairing, and the need they are for. Out: values for the templates:
the arithmetic of the score as rows and bars, how busy the lab is, who was in touch, what was decided, and its
passages with the shared words marked. It exists because the same card stands in a ranking, on a page of its own and
beside another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from math import floor
from typing import Any

from markupsafe import Markup
from sqlmodel import Session, col, func, select

from api.access.policy import Action
from api.access.visibility import cases as visible_cases
from api.pages.shell.templating import marked
from api.pages.shell.visiting import Visit
from api.requests.problems import Refusal
from api.routes.pairings import read_pairing
from indexer.instants import day_in_taipei, now
from indexer.records.record_tables import Lab, School
from indexer.vocabulary import AskKind
from matcher.ranking.signals import CONTRIBUTION_LABELS, GROUPS, RETIRED_LABELS
from matcher.review.cases import Case, Contact, LabLoad, Stage
from matcher.review.conversation.answers import SideAnswer, SideWord
from matcher.review.conversation.signing import loads_of_labs
from matcher.review.conversation.thread import Side
from matcher.review.decisions import Decision, Reason
from matcher.review.people import Account, Principal
from matcher.review.proposals import Release, StoredPairing
from matcher.review.roles import STAFF


@dataclass(frozen=True)
class CaseNote:
    """A case of the own alliance with a lab; `same_company` if it is with the need's company."""

    id: int
    stage: str
    same_company: bool


@dataclass(frozen=True)
class LabFacts:
    """What is known of a lab; contacts are those of the own alliance about it, `last` the day of the newest."""

    lab: Lab
    school: School | None
    load: LabLoad
    cases: tuple[CaseNote, ...]
    contacts: int
    last: date | None

    @property
    def is_full(self) -> bool:
        """Whether the lab has said how much it can take on and has that much."""
        return self.lab.capacity is not None and self.load.carried >= self.lab.capacity


@dataclass(frozen=True)
class LastWord:
    """The verdict that stands; its note is empty outside of the alliance that wrote it."""

    verdict: str
    reason: str | None
    note: str
    by: str
    at: datetime
    may_undo: bool


@dataclass(frozen=True)
class PairingFacts:
    """Where a pairing stands."""

    state: str
    deferred_until: date | None
    released_at: datetime | None
    word: LastWord | None
    case_id: int | None
    company_word: str | None = None
    """What the company answered to it, if that stands."""


@dataclass(frozen=True)
class Facts:
    """What is known of labs and pairings, by lab id and by the pairing's number."""

    labs: Mapping[str, LabFacts]
    pairings: Mapping[int, PairingFacts]


def facts_of(
    session: Session, who: Principal, company_id: str | None, pairings: Mapping[int, str], now: datetime
) -> Facts:
    """Return what is known of the labs that are stored, and where the pairings stand.

    Args:
        session: one state of the database.
        who: sees it.
        company_id: the company of the need that the pairings are of.
        pairings: the lab of each, by the pairing's number.
        now: the moment at which it is shown.
    """
    wanted = sorted(set(pairings.values()))
    cases = session.exec(
        select(Case)
        .where(visible_cases(who, Action.READ), col(Case.lab_id).in_(wanted), Case.stage != Stage.UNDONE.value)
        .order_by(col(Case.id))
    ).all()
    case_of = {case.pairing_id: case.id for case in cases}
    return Facts(
        _labs(session, who, company_id, wanted, cases, now), _pairings(session, who, sorted(pairings), case_of, now)
    )


def _labs(
    session: Session, who: Principal, company_id: str | None, wanted: list[str], cases: Sequence[Case], now: datetime
) -> Mapping[str, LabFacts]:
    rows = session.exec(
        select(Lab, School).join(School, col(School.id) == col(Lab.school), isouter=True).where(col(Lab.id).in_(wanted))
    ).all()
    loads = loads_of_labs(session, wanted, day_in_taipei(now))
    touched = _contacts(session, who, {case.id or 0: case.lab_id for case in cases})
    found = {}
    for lab, school in rows:
        notes = [
            CaseNote(case.id or 0, case.stage, company_id is not None and case.company_id == company_id)
            for case in cases
            if case.lab_id == lab.id
        ]
        notes.sort(key=lambda note: not note.same_company)
        count, last = touched.get(lab.id, (0, None))
        found[lab.id] = LabFacts(lab, school, loads[lab.id], tuple(notes), count, last)
    return found


def _contacts(session: Session, who: Principal, lab_of: Mapping[int, str]) -> dict[str, tuple[int, date | None]]:
    if not lab_of:
        return {}
    query = (
        select(Contact.case_id, func.count(), func.max(Contact.held_on))
        .where(col(Contact.case_id).in_(list(lab_of)), col(Contact.alliance_id).in_(who.scopes(*STAFF)))
        .group_by(col(Contact.case_id))
    )
    found: dict[str, tuple[int, date | None]] = {}
    for case_id, count, last in session.exec(query).all():
        lab_id = lab_of[case_id or 0]
        had, before = found.get(lab_id, (0, None))
        found[lab_id] = (had + count, max(before or last, last))
    return found


def company_contacts(session: Session, who: Principal, company_id: str | None) -> tuple[int, date | None]:
    """Return how often the own alliance was in touch with a company, and on which day last."""
    if company_id is None or ("company", company_id) in who.stakes:
        return 0, None
    query = select(func.count(), func.max(Contact.held_on)).where(
        Contact.company_id == company_id, col(Contact.alliance_id).in_(who.scopes(*STAFF))
    )
    count, last = session.exec(query).one()
    return int(count), last


def _pairings(
    session: Session, who: Principal, wanted: list[int], case_of: Mapping[int, int | None], now: datetime
) -> Mapping[int, PairingFacts]:
    stands_now = (col(Release.pairing_id) == col(StoredPairing.id)) & col(Release.ended_at).is_(None)
    answered = (
        select(SideAnswer.word)
        .where(SideAnswer.pairing_id == StoredPairing.id, SideAnswer.side == Side.COMPANY.value)
        .order_by(col(SideAnswer.id).desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = session.exec(
        select(StoredPairing, Release.released_at, answered)
        .join(Release, stands_now, isouter=True)
        .where(col(StoredPairing.id).in_(wanted))
    ).all()
    words = _last_words(session, who, wanted, now)
    return {
        row.id or 0: PairingFacts(
            row.state,
            row.deferred_until,
            released_at,
            words.get(row.id or 0),
            case_of.get(row.id or 0),
            None if said == SideWord.RETRACTED else said,
        )
        for row, released_at, said in rows
    }


def _last_words(session: Session, who: Principal, pairing_ids: list[int], now: datetime) -> dict[int, LastWord]:
    query = (
        select(Decision, Account.name)
        .join(Account, col(Account.id) == Decision.by)
        .where(col(Decision.pairing_id).in_(pairing_ids))
        .order_by(col(Decision.id))
    )
    rows = session.exec(query).all()
    undone = {decision.undoes for decision, _ in rows}
    found = {}
    for decision, name in rows:
        if decision.undoes is None and decision.id not in undone:
            mine = decision.by == who.id
            found[decision.pairing_id] = LastWord(
                verdict=decision.verdict,
                reason=decision.reason,
                note=decision.note if decision.alliance_id in who.scopes(*STAFF) else "",
                by=name,
                at=decision.at,
                may_undo=mine and day_in_taipei(decision.at) >= day_in_taipei(now),
            )
    return found


_LEAST, _MOST = -4.0, 8.0
"""What a bar's line reaches from and to: sums beyond are rare, their bars end at the edge."""
WIDTH = 90.0
ZERO = WIDTH * -_LEAST / (_MOST - _LEAST)
"""Where on the line nothing is added."""


@dataclass(frozen=True)
class Part:
    """One contribution: its names, its amount as printed, and its bar from `left`, `width` long."""

    zh: str
    en: str
    amount: float
    left: float
    width: float


@dataclass(frozen=True)
class Group:
    """Contributions of one kind: their sum as a row, and they themselves where there are several."""

    sum: Part
    parts: list[Part]


_LABELS = {**CONTRIBUTION_LABELS, **RETIRED_LABELS}


def _printed(contributions: Mapping[str, float], score: float) -> dict[str, int]:
    printed = _apportioned([contributions[name] for name in contributions], round(score * 100))
    return dict(zip(contributions, printed, strict=True))


def parts_of(contributions: Mapping[str, float], score: float) -> list[Part]:
    """Return the contributions that are not nothing, in the order of the features, adding up to the score's print."""
    rows = _printed(contributions, score)
    ordered = sorted(rows, key=lambda name: list(_LABELS).index(name) if name in _LABELS else len(_LABELS))
    return [part(name, rows[name] / 100) for name in ordered if rows[name]]


def groups_of(contributions: Mapping[str, float], score: float) -> list[Group]:
    """Return the sums of words, meaning and profile that are not nothing, each with what is in it."""
    rows = _printed(contributions, score)
    grouped = {name: group for group, (_, names) in GROUPS.items() for name in names}
    found = []
    for group, (label, _) in GROUPS.items():
        # What an earlier release added up is a kind of meaning if it says so, else of words.
        of_group = [n for n in rows if rows[n] and grouped.get(n, "meaning" if "meaning" in n else "words") == group]
        if of_group:
            zh, en = label.both
            total = sum(rows[name] for name in of_group) / 100
            members = [part(name, rows[name] / 100) for name in of_group]
            opens = group == "profile" or len(members) > 1
            found.append(Group(replace(part("", total), zh=zh, en=en), members if opens else []))
    return found


def part(name: str, amount: float) -> Part:
    """Return one row."""
    zh, en = _LABELS[name].both if name in _LABELS else (name, name)
    reach = min(max(amount, _LEAST), _MOST) / (_MOST - _LEAST) * WIDTH
    return Part(zh, en, amount, round(ZERO + min(reach, 0.0), 1), round(max(abs(reach), 0.5), 1))


def _apportioned(amounts: list[float], total: int) -> list[int]:
    """Round to hundredths so that the sum is `total`: those that lose most by rounding down are rounded up."""
    exact = [amount * 100 for amount in amounts]
    down = [floor(amount) for amount in exact]
    missing = min(max(total - sum(down), 0), len(down))
    for index in sorted(range(len(down)), key=lambda i: down[i] - exact[i])[:missing]:
        down[index] += 1
    return down


@dataclass(frozen=True)
class Difference:
    """One contribution of two labs beside each other, and the first less the second."""

    zh: str
    en: str
    first: Part
    second: Part
    by: float


def differences(
    first: tuple[Mapping[str, float], float], second: tuple[Mapping[str, float], float]
) -> list[Difference]:
    """Return the contributions of two labs, each given with its score, row by row."""
    sides = [{(one.zh, one.en): one for one in parts_of(*side)} for side in (first, second)]
    found = []
    for name, label in _LABELS.items():
        zh, en = label.both
        one, other = (side.get((zh, en)) or part(name, 0.0) for side in sides)
        if one.amount or other.amount:
            found.append(Difference(zh, en, one, other, round(one.amount - other.amount, 2)))
    return found


_OFFERS = {kind.value for kind in AskKind}


def cards_of(visit: Visit, need: Mapping[str, Any], pairings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the cards for pairings of a match (`MatchAnswer`), in their order."""
    found = visit.look(
        lambda session, who: facts_of(
            session, who, need["company"], {item["pairing_id"]: item["lab_id"] for item in pairings}, now()
        )
    )
    return [
        _card(item, found.labs[item["lab_id"]], found.pairings[item["pairing_id"]])
        for item in pairings
        if item["lab_id"] in found.labs and item["pairing_id"] in found.pairings
    ]


def card_of(visit: Visit, need: Mapping[str, Any], pairing_id: int) -> dict[str, Any] | None:
    """Return the card for a pairing as it was shown last; None if it was never shown.

    Raises:
        ProblemError: 404, there is no such pairing, or it is not for this person.
    """
    document = visit.document(read_pairing, pairing_id=pairing_id)
    if document["need_id"] != need["id"] or not document["proposals"]:
        return None
    shown = document["proposals"][0]
    changed = visit.attempt(lambda: visit.request.app.state.live.current().changed_labs)
    item = {
        **shown,
        "lab_id": document["lab_id"],
        "pairing_id": pairing_id,
        "proposal_id": shown["id"],
        "changed_since_index": not isinstance(changed, Refusal) and document["lab_id"] in changed,
    }
    return next(iter(cards_of(visit, need, [item])), None)


def _card(item: Mapping[str, Any], lab: LabFacts, stand: PairingFacts) -> dict[str, Any]:
    explanation, today = item["explanation"], day_in_taipei(now())
    asks = [_ask(ask) for ask in explanation.get("asks", [])]
    return {
        "pairing_id": item["pairing_id"],
        "proposal_id": item["proposal_id"],
        "lab_id": item["lab_id"],
        "rank": item["rank"],
        "score": item["score"],
        "band": item["band"],
        "contributions": item["contributions"],
        "groups": groups_of(item["contributions"], item["score"]),
        "asks": asks,
        "best": _best(asks),
        "missing": explanation.get("missing", []),
        "lacks": any(one["kind"] and one["covered"] != "yes" for one in asks),
        "history": explanation.get("history"),
        "seen_less": explanation.get("seen_less", False),
        "changed": item["changed_since_index"],
        "generation": item.get("generation"),
        "facts": lab,
        "stand": stand,
        "tomorrow": (today + timedelta(days=1)).isoformat(),
        "in_two_weeks": (today + timedelta(days=14)).isoformat(),
        "reasons": list(Reason),
        "is_open": stand.state in ("proposed", "deferred"),
    }


def _ask(ask: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": ask["kind"] if ask["kind"] in _OFFERS else None,
        "text": ask["text"],
        "covered": ask["covered"],
        "passages": [_passage(passage) for passage in ask["passages"]],
    }


def _best(asks: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the passage that says best why the lab is here: of the best covered ask, a work before a profile."""
    order = ("yes", "partly", "no")
    found = [(order.index(ask["covered"]), one["kind"] == "profile", one) for ask in asks for one in ask["passages"]]
    if not found:
        return None
    covered, _, passage = min(found, key=lambda one: one[:2])
    return {**passage, "covered": order[covered]}


def _passage(passage: Mapping[str, Any]) -> dict[str, Any]:
    title: Markup = marked(passage["title"], passage["words"])
    return {
        "kind": passage["kind"],
        "year": passage["year"],
        "lang": "zh-Hant" if passage["language"] == "zh" else "en",
        "title": title,
        "excerpt": marked(passage["excerpt"], passage["words"]) if passage["excerpt"] != passage["title"] else "",
        "words": passage["words"],
        "translated": passage.get("translated", ()),
    }
