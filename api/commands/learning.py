"""`gloria learn`: a ranker learned from decisions and grades, and the promotion or return of one by a named person.

In: the decisions of the home, grades in a file, a version, the address of who says so. Out: a challenger with how it
compares, kept beside the others; the ranker in use. It exists for whoever runs the machine on behalf of the programme
office: what decides who is introduced changes by a person's word only, after it was measured, and the trail says whose.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.people import account_named, opened
from api.commands.refusals import RefusedError
from api.commands.screen import Screen, finish, write_document
from api.home import note_command, read_settings
from indexer.wording import T_
from matcher.review.roles import Role

if TYPE_CHECKING:
    from sqlmodel import Session

    from matcher.judging.champion.promotion import Learned


def learn(
    context: typer.Context,
    *,
    qrels: Annotated[Path | None, typer.Option(help="Learn from these judgements too: `need 0 lab grade`.")] = None,
    promote: Annotated[str | None, typer.Option(help="Use this challenger from now on, if it is better.")] = None,
    restore: Annotated[str | None, typer.Option(help="Bring back a ranker that was in use before.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the rankers that there are.")] = False,
    by: Annotated[str | None, typer.Option(help="Who says so: an e-mail address of the programme office.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Learn a challenger to the ranker in use from what experts decided; it is never promoted by itself."""
    if sum((promote is not None, restore is not None, listed, qrels is not None)) > 1:
        raise typer.BadParameter(T_("give one of --qrels, --promote, --restore and --list"), param_hint="--promote")
    screen = Screen.of(context)
    if listed:
        _list(screen, as_json=as_json)
    elif promote is not None:
        _promote(screen, promote, by, as_json=as_json)
    elif restore is not None:
        _restore(screen, restore, by, as_json=as_json)
    else:
        _learn(screen, qrels, by, as_json=as_json)


def _person(session: Session, email: str | None) -> str:
    """Return the account of who says so.

    Raises:
        RefusedError: nobody is named, or they are not of the programme office.
    """
    from matcher.review.people import active_grants

    if email is None:
        raise RefusedError(T_("say who decides so: --by EMAIL, of somebody of the programme office"))
    account = account_named(session, email)
    if account.disabled_at is not None or all(held.role != Role.OFFICE for held in active_grants(session, account.id)):
        raise RefusedError(T_("%(email)s is not of the programme office", email=email))
    return account.id


def _learn(screen: Screen, qrels: Path | None, by: str | None, *, as_json: bool) -> None:
    from matcher.judging.champion import promotion

    with opened(writes=False) as session:
        who = None if by is None else account_named(session, by).id
        found = promotion.learn(session, read_settings(), qrels=qrels, by=who)
    for problem in found.problems:
        screen.complain(problem)
    if as_json:
        write_document(_document(screen, found))
    else:
        _say(screen, found)
    finish(list(found.problems))


def _document(screen: Screen, found: Learned) -> dict[str, Any]:
    return {
        "version": found.version,
        "champion": found.champion,
        "learned_from": dict(found.learned_from),
        "comparison": found.verdict.as_dict(),
        "reasons": [screen.text(one) for one in found.verdict.reasons],
    }


def _say(screen: Screen, found: Learned) -> None:
    of, verdict = found.learned_from, found.verdict
    screen.say(
        T_(
            "%(accepted)s acceptances and %(rejected)s rejections on topic teach, with %(grades)s grades; "
            "%(silent)s decisions say nothing on topic, %(unknown)s were shown by a ranker not known any more",
            accepted=of["accepted"],
            rejected=of["rejected_on_topic"],
            grades=of["grades"],
            silent=of["silent_on_topic"],
            unknown=of["shown_by_an_unknown_ranker"],
        )
    )
    if found.version is None:
        screen.say(T_("nothing is learned of it; %(champion)s stays in use", champion=found.champion))
        return
    screen.say(T_("challenger %(version)s; in use is %(champion)s", version=found.version, champion=found.champion))
    for label, one in (("nDCG@10", verdict.ndcg), (T_("accepted among the first 5"), verdict.accepted)):
        if one is not None:
            screen.say(
                T_(
                    "%(measure)s on %(needs)s later needs: %(mean)s (95 %% interval %(low)s to %(high)s)",
                    measure=label,
                    needs=verdict.needs,
                    mean=f"{one.mean:+.4f}",
                    low=f"{one.low:+.4f}",
                    high=f"{one.high:+.4f}",
                )
            )
    if verdict.drawn is not None:
        screen.say(
            T_(
                "near ties drawn by lot, %(pairs)s pairs: %(mean)s (95 %% interval %(low)s to %(high)s)",
                pairs=verdict.drawn.pairs,
                mean=f"{verdict.drawn.difference.mean:+.4f}",
                low=f"{verdict.drawn.difference.low:+.4f}",
                high=f"{verdict.drawn.difference.high:+.4f}",
            )
        )
    if verdict.passed:
        screen.say(T_("it may be promoted: gloria learn --promote %(version)s --by EMAIL", version=found.version))
    for reason in verdict.reasons:
        screen.say(T_("it may not be promoted: %(reason)s", reason=reason))


def _promote(screen: Screen, version: str, by: str | None, *, as_json: bool) -> None:
    from matcher.judging.champion.promotion import PromotionError, check_promotion

    with opened(writes=True) as session:
        who = _person(session, by)
        try:
            verdict = check_promotion(session, read_settings(), version)
        except PromotionError as error:
            raise RefusedError(str(error)) from error
        note_command(session, "configuration", "edit", "learn promote", [("ranker", version)], by=who)
    _put_in_use(version, who)
    if as_json:
        write_document({"in_use": version, "comparison": verdict.as_dict()})
    else:
        screen.say(T_("%(version)s is in use from now on", version=version))


def _restore(screen: Screen, version: str, by: str | None, *, as_json: bool) -> None:
    from matcher.judging.champion.promotion import PromotionError, check_return

    with opened(writes=True) as session:
        who = _person(session, by)
        try:
            check_return(read_settings(), version)
        except PromotionError as error:
            raise RefusedError(str(error)) from error
        note_command(session, "configuration", "edit", "learn restore", [("ranker", version)], by=who)
    _put_in_use(version, who)
    if as_json:
        write_document({"in_use": version})
    else:
        screen.say(T_("%(version)s is in use from now on", version=version))


def _put_in_use(version: str, who: str) -> None:
    """Use a ranker; only after the trail has it, so that none is ever in use that nobody answers for."""
    from matcher.ranking.rankers import put_in_use

    put_in_use(read_settings(), version, by=who, now=datetime.now(UTC))


def _list(screen: Screen, *, as_json: bool) -> None:
    from matcher.judging.champion.promotion import listing

    rows = listing(read_settings())
    if as_json:
        write_document({"rankers": [_listed_document(screen, row) for row in rows]})
        return
    for row in rows:
        better = row.comparison.get("better")
        parts = [
            row.version,
            screen.text(T_("in use")) if row.in_use else "",
            screen.text(T_("%(n)s decisions, %(grades)s grades", n=row.decisions, grades=row.grades))
            if row.comparison
            else "",
            "" if better is None else screen.text(T_("was better") if better else T_("was not better")),
            "" if row.problem is None else screen.text(row.problem),
        ]
        screen.out.print("  ".join(part for part in parts if part), markup=False, soft_wrap=True)


def _listed_document(screen: Screen, row: Any) -> dict[str, Any]:
    return {
        "version": row.version,
        "in_use": row.in_use,
        "decisions": row.decisions,
        "grades": row.grades,
        "until": row.until,
        "comparison": dict(row.comparison),
        "problem": None if row.problem is None else screen.text(row.problem),
    }
