"""The rules as documents: what each decides, what is in force, and a form by which the office sets it.

In: target books, points, warning rules and the rest, and what the office types. Out: each document in words, what
a form would change before it is stored, and the new version or, where it binds two people, the motion. It exists so
that no rule is read or set as code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from starlette.datastructures import FormData

from api.access.policy import Action, Resource
from api.documents.ledger_bodies import ConfigurationBody
from api.pages.admin.rule_forms import ChangedRule, RuleColumn, RuleForm, RuleTable, TypedAs
from api.pages.results.entries import CODE_WORDS
from api.pages.shell.record_names import alliance_names
from api.pages.shell.visiting import Visit, visiting
from api.pages.shell.wording import N_, Wording, lang_of, term
from api.requests.capacity import ThreadedRoute
from api.requests.problems import Refusal
from api.routes.ledger.programme import list_configuration, read_configuration, set_configuration
from indexer.wording import either
from matcher.ledger.figures.subsidy import SubsidyBase
from matcher.ledger.rows.kpis import KPI_FACTS
from matcher.ledger.rules.configuration import current
from matcher.ledger.rules.targets import BASIS_LABELS, SCOPE_LABELS, MoneyDefinitions
from matcher.review.cases import OPEN_STAGES

router = APIRouter(prefix="/admin/configuration", include_in_schema=False, route_class=ThreadedRoute)

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
_KPIS = {kpi.value: facts.label for kpi, facts in KPI_FACTS.items()}
_KPI = RuleColumn(("kpi",), N_("Figure"), TypedAs.CHOICE, _KPIS)
_YEAR = RuleColumn(("year",), N_("Year"), TypedAs.YEAR)
_SOURCE = RuleColumn(("source",), N_("Where the plan says so"))
_ZH, _EN = RuleColumn(("zh",), N_("In Chinese")), RuleColumn(("en",), N_("In English"))
_TITLES = (RuleColumn(("title_zh",), N_("Name in Chinese")), RuleColumn(("title_en",), N_("Name in English")))
_PACE = (
    RuleColumn(("expected_bp", 0), N_("By the end of quarter 1, in percent"), TypedAs.PERCENT_OF_BP),
    RuleColumn(("expected_bp", 1), N_("Quarter 2"), TypedAs.PERCENT_OF_BP),
    RuleColumn(("expected_bp", 2), N_("Quarter 3"), TypedAs.PERCENT_OF_BP),
    RuleColumn(("expected_bp", 3), N_("Quarter 4"), TypedAs.PERCENT_OF_BP),
    RuleColumn(("warning_below_bp",), N_("Warned below so much of it, in percent"), TypedAs.PERCENT_OF_BP),
)
_NOTES = (
    RuleColumn(("note_zh",), N_("Note in Chinese"), TypedAs.TEXT),
    RuleColumn(("note",), N_("Note in English"), TypedAs.TEXT),
)
"""What every document may say of itself."""
_VALUES: dict[str, tuple[RuleColumn, ...]] = {
    "alliance_targets": (
        RuleColumn(
            ("other_share_bp",), N_("Weight of an alliance without one of its own, in percent"), TypedAs.PERCENT_OF_BP
        ),
    ),
    "forecast": (
        RuleColumn(("default_amount_ntd",), N_("Amount of a case that names none (NT$)"), TypedAs.NUMBER),
        RuleColumn(("similar_cases_needed",), N_("Similar cases that a forecast needs"), TypedAs.NUMBER),
        RuleColumn(("interval",), N_("How sure the range is, in percent"), TypedAs.PERCENT),
        RuleColumn(("draws",), N_("How often the future is drawn"), TypedAs.NUMBER),
        RuleColumn(("seed",), N_("Number that draws begin from"), TypedAs.NUMBER),
    ),
    "gender": (
        RuleColumn(("least_share", 0), N_("A smaller share asks for an analysis: so many"), TypedAs.NUMBER),
        RuleColumn(("least_share", 1), N_("of so many"), TypedAs.NUMBER),
        RuleColumn(("judged_from",), N_("Groups of fewer people are not judged"), TypedAs.NUMBER),
        RuleColumn(("small_below",), N_("Counts below this are not published"), TypedAs.NUMBER),
    ),
    "points": (
        RuleColumn(("pot_share_bp",), N_("Share of own income that is paid out, in percent"), TypedAs.PERCENT_OF_BP),
    ),
    "reach_rule": (
        RuleColumn(
            ("floor",),
            N_("Least reach of lesser-known schools beside well-known ones (0 is off, 1.1 advised)"),
            TypedAs.NUMBER,
        ),
        RuleColumn(("tolerance",), N_("Scores that differ by no more are near ties (0 to 1)"), TypedAs.NUMBER),
        RuleColumn(("half_life_weeks",), N_("Weeks after which what was seen counts half"), TypedAs.NUMBER),
    ),
    "recognition": (
        RuleColumn(
            ("months_confirmed_from",),
            N_("Months are confirmed by their lead from this day on"),
            TypedAs.DAY,
            may_lack=True,
        ),
        RuleColumn(("programme_start",), N_("First day of the programme"), TypedAs.DAY),
        RuleColumn(("programme_end",), N_("Last day of the programme"), TypedAs.DAY),
        RuleColumn(("two_people_from_ntd",), N_("More money than this takes two people (NT$)"), TypedAs.NUMBER),
        RuleColumn(("similar_name_score",), N_("Names so alike may be the same (0 to 100)"), TypedAs.NUMBER),
        RuleColumn(
            ("similar_amount_share",), N_("Amounts that differ by at most this are alike, in percent"), TypedAs.PERCENT
        ),
        RuleColumn(("similar_days",), N_("Days so many apart are alike"), TypedAs.NUMBER),
    ),
    "report_heading": (
        RuleColumn(("programme", "zh"), N_("Name of the programme in Chinese")),
        RuleColumn(("programme", "en"), N_("Name of the programme in English")),
        RuleColumn(("review_number",), N_("Number of review (審議編號)")),
        RuleColumn(("agency", "zh"), N_("Agency in Chinese")),
        RuleColumn(("agency", "en"), N_("Agency in English")),
    ),
    "subsidy_path": (
        RuleColumn(
            ("base",),
            N_("What the share is taken of"),
            TypedAs.CHOICE,
            {
                SubsidyBase.EXPENSES: N_("the expenses of the year"),
                SubsidyBase.FIRST_YEAR: N_("the subsidy of the first year"),
            },
        ),
        RuleColumn(("last_share_bp",), N_("The subsidy's last share, in percent"), TypedAs.PERCENT_OF_BP),
    ),
    "warning_rules": (
        RuleColumn(("settled_after_days",), N_("Days after which a quarter is judged"), TypedAs.NUMBER),
        *(replace(column, place=("pace", *column.place)) for column in _PACE),
    ),
}
"""The values of each document that are set one by one."""


_TABLES: dict[str, tuple[RuleTable, ...]] = {
    "forecast": (
        RuleTable(
            ("priors",),
            N_("Of so many past cases at a stage"),
            (RuleColumn((0,), N_("signed"), TypedAs.NUMBER), RuleColumn((1,), N_("not signed"), TypedAs.NUMBER)),
            keys=(RuleColumn((), N_("Stage"), TypedAs.CHOICE, {stage.value: term(stage) for stage in OPEN_STAGES}),),
            grows=False,
        ),
    ),
    "money_definitions": (
        RuleTable(
            ("definitions",),
            N_("Money that counts"),
            (
                *_TITLES,
                _SOURCE,
                RuleColumn(("payer_countries",), N_("Countries of payers (none: all)"), TypedAs.COUNTRIES),
                RuleColumn(
                    ("payer_types",), N_("Payers (none chosen: all)"), TypedAs.CHOICES, CODE_WORDS["payer_type"]
                ),
                RuleColumn(("purposes",), N_("Purposes (none chosen: all)"), TypedAs.CHOICES, CODE_WORDS["purpose"]),
            ),
            makes="money",
        ),
        RuleTable(
            ("international_cases",),
            N_("International cases that count"),
            (*_TITLES, RuleColumn(("bases",), N_("Cases that count"), TypedAs.CHOICES, CODE_WORDS["basis"])),
            makes="cases",
        ),
    ),
    "points": (
        RuleTable(
            ("activities",),
            N_("Activities"),
            (
                RuleColumn(("label_zh",), N_("Activity in Chinese")),
                RuleColumn(("label_en",), N_("Activity in English")),
                RuleColumn(("points",), N_("Points"), TypedAs.NUMBER),
            ),
            is_mapping=True,
            makes="activity",
        ),
    ),
    "report_heading": (RuleTable(("signers",), N_("Who signs"), (_ZH, _EN)),),
    "subsidy_path": (
        RuleTable(
            ("shares_bp",),
            N_("The subsidy's share by year"),
            (RuleColumn((), N_("Share, in percent"), TypedAs.PERCENT_OF_BP),),
            keys=(_YEAR,),
        ),
    ),
}
"""The lists of each document that need nothing else to be known."""


def _tables_of(
    name: str, document: Mapping[str, Any], alliances: Mapping[str, str], definitions: Mapping[str, str]
) -> tuple[RuleTable, ...]:
    """Return the lists of a document, each a table."""
    alliance = RuleColumn(("alliance",), N_("Alliance"), TypedAs.CHOICE, alliances)
    if name == "alliance_targets":
        return _alliance_tables(alliance)
    if name == "warning_rules":
        return (
            RuleTable(("kpis",), N_("Figures with a pace of their own"), _PACE, keys=(_KPI,)),
            RuleTable(("alliances",), N_("Alliances with a pace of their own"), _PACE, keys=(alliance, _KPI)),
        )
    return _target_tables(document, definitions) if name == "target_books" else _TABLES.get(name, ())


def _alliance_tables(alliance: RuleColumn) -> tuple[RuleTable, ...]:
    cumulative = RuleColumn(("cumulative",), N_("Counts from the programme's start"), TypedAs.YES)
    amount = RuleColumn(("amount",), N_("Target"), TypedAs.NUMBER)
    share = RuleColumn((), N_("Weight, in percent"), TypedAs.PERCENT_OF_BP)
    return (
        RuleTable(("own",), N_("Targets agreed with an alliance"), (alliance, _KPI, _YEAR, amount, cumulative)),
        RuleTable(("shares_bp",), N_("Weights of alliances"), (share,), keys=(alliance,)),
    )


def _target_tables(document: Mapping[str, Any], definitions: Mapping[str, str]) -> tuple[RuleTable, ...]:
    columns = (
        _KPI,
        replace(_YEAR, may_lack=True),
        RuleColumn(("amount",), N_("Target"), TypedAs.NUMBER),
        RuleColumn(("basis",), N_("Counted"), TypedAs.CHOICE, {str(one): words for one, words in BASIS_LABELS.items()}),
        _SOURCE,
        RuleColumn(("definition",), N_("Reading"), TypedAs.CHOICE, definitions, may_lack=True),
    )
    scope = {str(one): words for one, words in SCOPE_LABELS.items()}
    within = RuleColumn(("within_years",), N_("Within so many years"), TypedAs.NUMBER)
    reached = RuleColumn(("amount",), N_("Reached"), TypedAs.NUMBER)
    return (
        RuleTable(("books",), N_("Books of targets"), _TITLES, makes="book", fresh={"targets": []}),
        *(
            RuleTable(("books", number, "targets"), either(book["title_zh"], book["title_en"]), columns)
            for number, book in enumerate(document["books"])
        ),
        RuleTable(("given_actuals",), N_("What the plan says was reached"), (_KPI, _YEAR, reached, _SOURCE)),
        RuleTable(
            ("self_sufficiency",),
            N_("When alliances live on their own income"),
            (RuleColumn(("scope",), N_("Which alliances"), TypedAs.CHOICE, scope), within, _SOURCE),
        ),
        RuleTable(("disputes",), N_("Where the plan disagrees with itself"), (_KPI, _ZH, _EN)),
    )


def _form(visit: Visit, name: str, document: Mapping[str, Any]) -> RuleForm:
    alliances = {one: either(zh, en or zh) for one, zh, en in visit.look(lambda session, _: alliance_names(session))}
    money = visit.look(lambda session, _: current(session, MoneyDefinitions))
    definitions = {one.code: either(one.title_zh, one.title_en) for one in money.definitions}
    definitions |= {one.code: either(one.title_zh, one.title_en) for one in money.international_cases}
    tables = _tables_of(name, document, alliances, definitions)
    return RuleForm((*_VALUES.get(name, ()), *_NOTES), tables, Wording(lang_of(visit.request)))


@router.get("")
def show_documents(visit: Annotated[Visit, Depends(visiting(Resource.CONFIGURATION, Action.LIST))]) -> Response:
    """Show which documents there are, and what each decides."""
    return visit.show("admin/configuration.html", documents=visit.document(list_configuration)["items"], what=_WHAT)


@router.get("/{configuration_name}")
def show_document(
    configuration_name: str, visit: Annotated[Visit, Depends(visiting(Resource.CONFIGURATION, Action.READ))]
) -> Response:
    """Show a document that is in force, and for who may set it its form."""
    return _page(visit, configuration_name)


def _page(
    visit: Visit,
    name: str,
    refused: Refusal | None = None,
    given: FormData | None = None,
    changes: Sequence[tuple[str, str, str]] | None = None,
) -> Response:
    reply = visit.reply(read_configuration, configuration_name=name)
    document = reply.document["document"]
    form = _form(visit, name, document)
    return visit.show(
        "admin/configuration_document.html",
        refused.status if refused else 200,
        document=reply.document,
        what=_WHAT.get(name, ""),
        etag=reply.headers["ETag"],
        TypedAs=TypedAs,
        held=form.single(document),
        held_tables=[(table, form.rows(replace(table, grows=False), document)) for table in form.tables],
        values=form.single(document, given),
        tables=[(table, form.rows(table, document, given)) for table in form.tables],
        changes=changes,
        reason="" if given is None else str(given.get("reason", "")),
        refused=refused,
    )


@router.post("/{configuration_name}")
def change_document(
    configuration_name: str, visit: Annotated[Visit, Depends(visiting(Resource.CONFIGURATION, Action.EDIT))]
) -> Response:
    """Show what a form would change, or set the document for a reason."""
    stands = visit.reply(read_configuration, configuration_name=configuration_name).document["document"]
    form = _form(visit, configuration_name, stands)
    read = visit.attempt(lambda: form.read(stands, visit.form))
    if isinstance(read, Refusal):
        return _page(visit, configuration_name, read, visit.form)
    if "preview" in visit.form:
        return _page(visit, configuration_name, given=visit.form, changes=read.changes)
    return _set(visit, configuration_name, read)


def _set(visit: Visit, name: str, read: ChangedRule) -> Response:
    def work() -> Any:
        body = visit.body(ConfigurationBody, {"document": read.document, "reason": visit.form.get("reason", "")})
        return visit.reply(set_configuration, configuration_name=name, body=body)

    done = visit.attempt(work)
    if isinstance(done, Refusal):
        # A refusal names a place of the document; the form has it as a cell.
        place = (done.field or "").removeprefix("document.")
        return _page(visit, name, replace(done, field=read.cell_of(place) or done.field), visit.form)
    moved = done.status == 202
    said = (
        N_("Moved. It takes effect once a second person agrees.")
        if moved
        else N_("The document is in force from now on.")
    )
    return visit.go(f"/admin/configuration/{name}", said)
