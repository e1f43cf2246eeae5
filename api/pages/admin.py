"""Administration: how the service stands, its jobs and nights as they run, who is let in, and the rules as documents.

In: the programme office, and alliances for their own jobs. Out: the state of the index, imports, batches of matches
and nights with their steps; accounts with roles and keys; target books, points, warning rules and the rest, read
and set whole. It exists so that the office needs no command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from math import isfinite, nan
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Response

from api.access.policy import Action, Resource
from api.documents.bodies import AccountBody, KeyBody, MatchBatchBody, NewAccountBody, RoleBody, StakeEndBody
from api.documents.ledger_bodies import ConfigurationBody
from api.jobs.job_queue import JobState
from api.pages.desk.views import Sorting
from api.pages.shell.record_names import ScopeNames, alliance_names, scope_names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_
from api.requests.capacity import ThreadedRoute
from api.requests.problems import ProblemError, Refusal
from api.routes.accounts import (
    AccountOrder,
    add_program_key,
    create_account,
    edit_account,
    end_account_key,
    end_account_stake,
    give_role,
    list_accounts,
    read_account,
    take_role,
)
from api.routes.jobs import ask_for_matches, cancel_job, list_jobs, read_job, read_result
from api.routes.ledger.programme import list_configuration, read_configuration, set_configuration
from api.routes.operations import follow_night, list_generations, list_nights
from api.trail.nights import NIGHT_STATES, STEP_FIGURE_LABELS, STEP_STATES, NightState, StepState
from indexer.instants import now
from indexer.records.mended.retired import retirement_of
from indexer.records.readers import SUFFIXES
from indexer.vocabulary import Kind, Mendable
from indexer.wording import T_
from matcher.review.people import SCOPE_OF
from matcher.review.roles import Role

router = APIRouter(prefix="/admin", include_in_schema=False, route_class=ThreadedRoute)

MAX_SHOWN_PROBLEMS = 200
_ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)
Jobs = Annotated[Visit, Depends(visiting(Resource.JOB, Action.LIST))]


@router.get("")
def show_administration(visit: Annotated[Visit, Depends(visiting(Resource.ACCOUNT, Action.LIST))]) -> Response:
    """Show how the service stands, and where to go on."""
    return visit.show(
        "admin/overview.html",
        state=visit.request.app.state.live.state(),
        generations=visit.document(list_generations)["items"],
        jobs=visit.document(list_jobs, limit=5)["items"],
        documents=visit.document(list_configuration)["items"],
        notice=night_notice(visit.document(list_nights)["items"]),
    )


@router.get("/index")
def show_generations(visit: Annotated[Visit, Depends(visiting(Resource.GENERATION, Action.LIST))]) -> Response:
    """Show the generations of the index."""
    return visit.show(
        "admin/index.html",
        state=visit.request.app.state.live.state(),
        generations=visit.document(list_generations)["items"],
    )


@router.get("/jobs")
def show_jobs(
    visit: Jobs,
    state: Annotated[str, Query(max_length=40)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Show the jobs, the newest first."""
    return _jobs_page(visit, JobState(state) if state in set(JobState) else None, cursor)


def _jobs_page(
    visit: Visit, state: JobState | None = None, cursor: str | None = None, refused: Refusal | None = None
) -> Response:
    return visit.show(
        "admin/jobs.html",
        refused.status if refused else 200,
        jobs=visit.document(list_jobs, state=state, limit=25, cursor=cursor),
        state=state,
        states=list(JobState),
        suffixes=SUFFIXES,
        alliances=visit.look(lambda session, _: alliance_names(session)),
        kinds=list(Kind),
        refused=refused,
    )


@router.post("/jobs/matches")
def begin_matches(visit: Annotated[Visit, Depends(visiting(Resource.MATCH, Action.READ))]) -> Response:
    """Rank all open needs of the own alliance in the background."""
    asked = visit.attempt(
        lambda: visit.document(ask_for_matches, body=visit.body(MatchBatchBody, {"top": visit.form.get("top")}))
    )
    if isinstance(asked, Refusal):
        return _jobs_page(visit, refused=asked)
    return visit.go(f"/admin/jobs/{asked['id']}", N_("The job has begun; this page follows it."))


@router.get("/jobs/{job_id}")
def show_job(job_id: str, visit: Annotated[Visit, Depends(visiting(Resource.JOB, Action.READ))]) -> Response:
    """Show how far a job is, and what came of it."""
    job = visit.document(read_job, job_id=job_id)
    result = None
    if job["state"] == JobState.DONE:
        read = visit.attempt(lambda: visit.document(read_result, job_id=job_id))
        result = None if isinstance(read, Refusal) else _shortened(read)
    # The page asks for this part again and again, until the job has ended.
    template = "admin/_job.html" if visit.by_htmx else "admin/job.html"
    return visit.show(template, job=job, result=result, ended=job["state"] in _ENDED)


def _shortened(result: dict[str, Any]) -> dict[str, Any]:
    problems = result.get("problems")
    return result if problems is None else {**result, "problems": problems[:MAX_SHOWN_PROBLEMS]}


@router.post("/jobs/{job_id}/cancel")
def stop_job(job_id: str, visit: Annotated[Visit, Depends(visiting(Resource.JOB, Action.CANCEL))]) -> Response:
    """Stop a job after the portion at hand."""
    try:
        visit.document(cancel_job, job_id=job_id)
    except ProblemError as error:
        if error.status != 409:
            raise
    return visit.go(f"/admin/jobs/{job_id}", N_("The job stops after the portion at hand; what is stored stays."))


OLD_AFTER = timedelta(hours=48)
"""A night that began longer ago is too long ago: yesterday's did not come."""
WORDS = {
    "night_states": {state: words.both for state, words in NIGHT_STATES.items()},
    "step_states": {state: words.both for state, words in STEP_STATES.items()},
    "figure_names": {name: words.both for name, words in STEP_FIGURE_LABELS.items()},
}


@router.get("/nights")
def show_nights(visit: Annotated[Visit, Depends(visiting(Resource.NIGHT, Action.LIST))]) -> Response:
    """Show the nights, the newest first."""
    nights = visit.document(list_nights)["items"]
    return visit.show("admin/nights.html", nights=nights, notice=night_notice(nights), **WORDS)


@router.get("/nights/{night_id}")
def show_night(night_id: str, visit: Annotated[Visit, Depends(visiting(Resource.NIGHT, Action.READ))]) -> Response:
    """Show a night step by step."""
    night = visit.document(follow_night, night_id=night_id)
    # The page asks for this part again and again, until the night has ended.
    template = "admin/_night.html" if visit.by_htmx else "admin/night.html"
    running = night["state"] == NightState.RUNNING
    done = sum(step["state"] not in (StepState.WAITING, StepState.RUNNING) for step in night["steps"])
    details = {step["name"]: step["details"] for step in night["steps"]}
    return visit.show(template, night=night, running=running, done=done, details=details, **WORDS)


def night_notice(nights: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return what somebody must know of the newest night: that it is too old, or did not end well; None if all is well.

    Args:
        nights: those of the API, the newest first.
    """
    if not nights:
        return {"kind": "none", "night": None}
    newest = nights[0]
    if now() - datetime.fromisoformat(newest["started_at"]) > OLD_AFTER:
        return {"kind": "old", "night": newest}
    if newest["state"] in (NightState.FAILED, NightState.HELD, NightState.INTERRUPTED):
        return {"kind": newest["state"], "night": newest}
    return None


Edit = Annotated[Visit, Depends(visiting(Resource.ACCOUNT, Action.EDIT))]


@router.get("/accounts")
def show_accounts(
    visit: Annotated[Visit, Depends(visiting(Resource.ACCOUNT, Action.LIST))],
    role: Annotated[str, Query(max_length=40)] = "",
    q: Annotated[str, Query(max_length=200)] = "",
    sort: Annotated[str, Query(max_length=20)] = "",
    descending: Annotated[str, Query(max_length=10)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Show accounts, by role and by words of name and address."""
    chosen = Role(role) if role in set(Role) else None
    kept = {name: said for name, said in (("q", q), ("role", chosen.value if chosen else "")) if said}
    order = sort if sort in set(AccountOrder) else ""
    return _accounts_page(visit, Sorting("/admin/accounts", kept, order, descending=descending == "true"), cursor)


def _accounts_page(
    visit: Visit, sorting: Sorting | None = None, cursor: str | None = None, refused: Refusal | None = None
) -> Response:
    sorting = sorting or Sorting("/admin/accounts", {})
    role, q = Role(sorting.kept["role"]) if "role" in sorting.kept else None, sorting.kept.get("q", "")
    by = {"sort": AccountOrder(sorting.by) if sorting.by else None, "descending": sorting.descending}
    found = visit.document(list_accounts, role=role, scope=None, text=q, **by, limit=50, cursor=cursor)
    return visit.show(
        "admin/accounts.html",
        refused.status if refused else 200,
        accounts=found,
        names=_names(visit, [held["scope"] for one in found["items"] for held in one["roles"]]),
        role=role,
        roles=list(Role),
        q=q,
        sorting=sorting,
        scoped=_scoped(),
        alliances=visit.look(lambda session, _: alliance_names(session)),
        refused=refused,
        given=dict(visit.form),
    )


def _names(visit: Visit, ids: list[str]) -> ScopeNames:
    return visit.look(lambda session, _: scope_names(session, ids))


def _scoped() -> list[Role]:
    return [role for role, scope in SCOPE_OF.items() if scope is not None]


@router.post("/accounts")
def make_account(visit: Annotated[Visit, Depends(visiting(Resource.ACCOUNT, Action.CREATE))]) -> Response:
    """Make an account, with its first role."""

    def work() -> Any:
        given: dict[str, Any] = visit.values("email", "name")
        if visit.values("role"):
            more = {name: visit.form.get(name) or "" for name in ("scope", "reason")}
            given["roles"] = [{"role": visit.form.get("role"), **more}]
        return visit.document(create_account, body=visit.body(NewAccountBody, given))

    made = visit.attempt(work)
    if isinstance(made, Refusal):
        return _accounts_page(visit, refused=made)
    return visit.go(f"/admin/accounts/{made['id']}", N_("The account is made."))


@router.get("/accounts/{account_id}")
def show_account(
    account_id: str, visit: Annotated[Visit, Depends(visiting(Resource.ACCOUNT, Action.READ))]
) -> Response:
    """Show an account with all that was ever given to it."""
    return _account_page(visit, account_id)


def _account_page(
    visit: Visit, account_id: str, refused: Refusal | None = None, made_key: str | None = None
) -> Response:
    reply = visit.reply(read_account, account_id=account_id)
    account = reply.document
    ids = [held["scope"] for held in account["roles"]] + [stake["party_id"] for stake in account["stakes"]]
    return visit.show(
        "admin/account.html",
        refused.status if refused else 200,
        account=account,
        etag=reply.headers["ETag"],
        names=_names(visit, ids),
        roles=list(Role),
        alliances=visit.look(lambda session, _: alliance_names(session)),
        refused=refused,
        made_key=made_key,
        retired=visit.look(lambda session, _: retirement_of(session, Mendable.PERSON, account_id)),
        is_program={held["role"] for held in account["roles"] if held["revoked_at"] is None} == {Role.JOB.value},
    )


def _changed(visit: Visit, account_id: str, work: Any, said: str) -> Response:
    refused = visit.attempt(work)
    if isinstance(refused, Refusal):
        return _account_page(visit, account_id, refused)
    return visit.go(f"/admin/accounts/{account_id}", said)


@router.post("/accounts/{account_id}")
def change_account(account_id: str, visit: Edit) -> Response:
    """Rename an account, shut it out, or let it in again."""

    def work() -> Any:
        given: dict[str, Any] = visit.values("name")
        if visit.values("disabled"):
            given["disabled"] = visit.form.get("disabled") == "yes"
        return visit.document(edit_account, account_id=account_id, body=visit.body(AccountBody, given))

    return _changed(visit, account_id, work, N_("The account is changed."))


@router.post("/accounts/{account_id}/roles")
def add_role(account_id: str, visit: Edit) -> Response:
    """Give a role."""
    given = {"role": visit.form.get("role"), **{name: visit.form.get(name) or "" for name in ("scope", "reason")}}
    done = visit.attempt(lambda: visit.reply(give_role, account_id=account_id, body=visit.body(RoleBody, given)))
    if isinstance(done, Refusal):
        return _account_page(visit, account_id, done)
    moved = done.status == 202
    said = N_("Moved. It takes effect once a second person agrees.") if moved else N_("The role is given.")
    return visit.go(f"/admin/accounts/{account_id}", said)


@router.post("/accounts/{account_id}/roles/{grant_id}/end")
def end_role(account_id: str, grant_id: int, visit: Edit) -> Response:
    """Take a role back."""
    work = lambda: visit.document(take_role, account_id=account_id, grant_id=grant_id)  # noqa: E731 (passed on)
    return _changed(visit, account_id, work, N_("The role is taken back; that holds from the next request on."))


@router.post("/accounts/{account_id}/keys")
def add_key(account_id: str, visit: Edit) -> Response:
    """Make a key for a program, and show it this once."""

    def work() -> str:
        given: dict[str, Any] = visit.values("name", "days")
        given["may_write"] = visit.form.get("may_write") == "yes"
        reply = visit.reply(add_program_key, account_id=account_id, body=visit.body(KeyBody, given))
        return str(reply.secret.get("key", ""))

    made = visit.attempt(work)
    if isinstance(made, Refusal):
        return _account_page(visit, account_id, made)
    return _account_page(visit, account_id, made_key=made)


@router.post("/accounts/{account_id}/keys/{key_prefix}/end")
def end_key(account_id: str, key_prefix: str, visit: Edit) -> Response:
    """End a key."""

    def work() -> Any:
        return visit.reply(end_account_key, account_id=account_id, key_prefix=key_prefix)

    return _changed(visit, account_id, work, N_("The key no longer works."))


@router.post("/accounts/{account_id}/stakes/{stake_id}/end")
def end_stake(
    account_id: str, stake_id: int, visit: Annotated[Visit, Depends(visiting(Resource.STAKE, Action.END))]
) -> Response:
    """End a declared interest, for a reason that stays on record."""

    def work() -> Any:
        body = visit.body(StakeEndBody, {"reason": visit.form.get("reason") or ""})
        return visit.document(end_account_stake, account_id=account_id, stake_id=stake_id, body=body)

    return _changed(visit, account_id, work, N_("The interest is ended."))


_WHAT = {
    "alliance_targets": N_("What each alliance is to reach."),
    "forecast": N_("How the forecast is made and how sure it must be."),
    "gender": N_("Which gap asks for an analysis, and which counts are too small to publish."),
    "money_definitions": N_("Which money counts, under each reading of the plan."),
    "points": N_("What activities of faculty and staff are worth, and the share that is paid out."),
    "reach_rule": N_("When equally fit labs of lesser-known schools stand earlier; look at Fair reach first."),
    "report_heading": N_("What stands at the top of a paper that is handed in, and who signs it."),
    "recognition": N_("What a result needs to be recognised, and when two people must decide."),
    "subsidy_path": N_("How the subsidy steps down year by year."),
    "target_books": N_("The plan's targets, every reading of it."),
    "warning_rules": N_("When an alliance's pace asks for a warning."),
}


class _Typed(StrEnum):
    """How a single value of a document is typed in a form."""

    DAY = "date"
    NUMBER = "number"
    PERCENT = "percent"
    PERCENT_OF_BP = "percent of basis points"
    LINE = "text"


_VALUES: dict[str, dict[str, tuple[str, _Typed]]] = {
    "alliance_targets": {
        "other_share_bp": (N_("Weight of an alliance without one of its own, in percent"), _Typed.PERCENT_OF_BP)
    },
    "forecast": {
        "default_amount_ntd": (N_("Amount of a case that names none (NT$)"), _Typed.NUMBER),
        "similar_cases_needed": (N_("Similar cases that a forecast needs"), _Typed.NUMBER),
        "interval": (N_("How sure the range is, in percent"), _Typed.PERCENT),
    },
    "gender": {
        "judged_from": (N_("Groups of fewer people are not judged"), _Typed.NUMBER),
        "small_below": (N_("Counts below this are not published"), _Typed.NUMBER),
    },
    "points": {"pot_share_bp": (N_("Share of own income that is paid out, in percent"), _Typed.PERCENT_OF_BP)},
    "reach_rule": {
        "floor": (
            N_("Least reach of lesser-known schools beside well-known ones (0 is off, 1.1 advised)"),
            _Typed.NUMBER,
        ),
        "tolerance": (N_("Scores that differ by no more are near ties (0 to 1)"), _Typed.NUMBER),
        "half_life_weeks": (N_("Weeks after which what was seen counts half"), _Typed.NUMBER),
    },
    "recognition": {
        "months_confirmed_from": (N_("Months are confirmed by their lead from this day on"), _Typed.DAY),
        "programme_start": (N_("First day of the programme"), _Typed.DAY),
        "programme_end": (N_("Last day of the programme"), _Typed.DAY),
        "two_people_from_ntd": (N_("More money than this takes two people (NT$)"), _Typed.NUMBER),
        "similar_name_score": (N_("Names so alike may be the same (0 to 100)"), _Typed.NUMBER),
        "similar_amount_share": (N_("Amounts that differ by at most this are alike, in percent"), _Typed.PERCENT),
        "similar_days": (N_("Days so many apart are alike"), _Typed.NUMBER),
    },
    "report_heading": {"review_number": (N_("Number of review (審議編號)"), _Typed.LINE)},
    "subsidy_path": {"last_share_bp": (N_("The subsidy's last share, in percent"), _Typed.PERCENT_OF_BP)},
    "warning_rules": {"settled_after_days": (N_("Days after which a quarter is judged"), _Typed.NUMBER)},
}
"""The values of each document that are set one by one; lists and tables are set with the whole document."""
_TIMES = {_Typed.PERCENT: 100, _Typed.PERCENT_OF_BP: 1 / 100}


def _shown_values(name: str, document: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return the single values of a document: their name, words, kind of field, and what stands in it."""
    shown = []
    for field, (words, typed) in _VALUES.get(name, {}).items():
        value = document.get(field)
        plain = _whole(value) if isinstance(value, float) else value
        text = "" if value is None else f"{value * _TIMES[typed]:g}" if typed in _TIMES else str(plain)
        shown.append((field, words, "date" if typed is _Typed.DAY else "text", text))
    return shown


def _without_values(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a document is no single value and no note: its lists and tables."""
    return {one: part for one, part in document.items() if one not in _VALUES.get(name, {}) and "note" not in one[:4]}


def _set_values(visit: Visit, name: str) -> dict[str, Any]:
    """Return a document with the single values of a form in the place of its own.

    Raises:
        ProblemError: 422, one of them is no number, or no day.
    """
    changed: dict[str, Any] = {**visit.reply(read_configuration, configuration_name=name).document["document"]}
    for field, (_, typed) in _VALUES.get(name, {}).items():
        text = str(visit.form.get(field, "")).strip().replace(",", "")
        if typed is _Typed.LINE or (not text and typed is _Typed.DAY):
            changed[field] = text or None
        elif typed is _Typed.DAY:
            changed[field] = _day(field, text)
        else:
            number = _number(field, text) / _TIMES.get(typed, 1)
            changed[field] = round(number) if typed is _Typed.PERCENT_OF_BP else _whole(number)
    return changed


def _day(field: str, text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise ProblemError(422, "invalid", T_("give a day such as 2019-06-30"), field) from error


def _number(field: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise ProblemError(422, "invalid", T_("give a number"), field)
    return number


def _whole(number: float) -> float:
    return int(number) if number.is_integer() else round(number, 6)


@router.get("/configuration")
def show_documents(visit: Annotated[Visit, Depends(visiting(Resource.CONFIGURATION, Action.LIST))]) -> Response:
    """Show which documents there are, and what each decides."""
    return visit.show("admin/configuration.html", documents=visit.document(list_configuration)["items"], what=_WHAT)


@router.get("/configuration/{configuration_name}")
def show_document(
    configuration_name: str, visit: Annotated[Visit, Depends(visiting(Resource.CONFIGURATION, Action.READ))]
) -> Response:
    """Show a document that is in force."""
    return _page(visit, configuration_name)


def _previewed(visit: Visit, name: str) -> Response:
    """Show which single values of a document a form changes, and store nothing."""
    becomes = visit.attempt(lambda: _set_values(visit, name))
    reason = str(visit.form.get("reason", ""))
    if isinstance(becomes, Refusal):
        return _page(visit, name, becomes, reason)
    return _page(visit, name, reason=reason, becomes=becomes)


def _changes(name: str, stands: Mapping[str, Any], becomes: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return the single values that differ: their words, kind of field, what stands, what it becomes."""
    pairs = zip(_shown_values(name, stands), _shown_values(name, becomes), strict=True)
    return [(words, kind, before, after) for (_, words, kind, before), (*_, after) in pairs if before != after]


def _page(
    visit: Visit,
    name: str,
    refused: Refusal | None = None,
    reason: str = "",
    text: str = "",
    becomes: Mapping[str, Any] | None = None,
) -> Response:
    reply = visit.reply(read_configuration, configuration_name=name)
    stored = orjson.dumps(reply.document["document"], option=orjson.OPT_INDENT_2).decode()
    return visit.show(
        "admin/configuration_document.html",
        refused.status if refused else 200,
        document=reply.document,
        what=_WHAT.get(name, ""),
        etag=reply.headers["ETag"],
        values=_shown_values(name, reply.document["document"]),
        tables=_without_values(name, reply.document["document"]),
        given=visit.form if refused or becomes is not None else {},
        changes=None if becomes is None else _changes(name, reply.document["document"], becomes),
        text=text or stored,
        reason=reason,
        refused=refused,
    )


@router.post("/configuration/{configuration_name}")
def change_document(
    configuration_name: str, visit: Annotated[Visit, Depends(visiting(Resource.CONFIGURATION, Action.EDIT))]
) -> Response:
    """Set a document as a whole, or its single values, for a reason."""
    if "preview" in visit.form:
        return _previewed(visit, configuration_name)
    text, reason = str(visit.form.get("document", "")), str(visit.form.get("reason", ""))

    def work() -> Any:
        whole = _parsed(text) if "document" in visit.form else _set_values(visit, configuration_name)
        body = visit.body(ConfigurationBody, {"document": whole, "reason": reason})
        return visit.reply(set_configuration, configuration_name=configuration_name, body=body)

    done = visit.attempt(work)
    if isinstance(done, Refusal):
        # A refusal names a value by its place in the document; the form has it by its name.
        done = replace(done, field=(done.field or "").removeprefix("document.") or None)
        return _page(visit, configuration_name, done, reason, text)
    moved = done.status == 202
    said = (
        N_("Moved. It takes effect once a second person agrees.")
        if moved
        else N_("The document is in force from now on.")
    )
    return visit.go(f"/admin/configuration/{configuration_name}", said)


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ProblemError(
            422, "invalid", T_("not JSON: %(msg)s in line %(lineno)s", msg=error.msg, lineno=error.lineno), "document"
        ) from error
