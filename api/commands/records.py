"""`gloria import`, `export`, `synth` and `demo`: records into a home and out of it, invented ones too.

In: files as people have them, a kind and a file, or the demo world that comes with the product. Out: what was
created, updated, left alone and refused, each refused row with its place in the file; a file with everything there
is of a kind; files of invented records; from an empty folder a home with ranked, explained matches and one person
of each role. A file is one transaction, and one that can't be read does not stop the others. Exports leave nothing
out and hide nothing, beside the server's, which show each person what is theirs: who runs the service holds the
database anyway and needs whole copies. The demo exists so that a newcomer sees the main job before having any data.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.imports.one_file import Way, import_one, read_as, take_back
from api.commands.imports.registers import bring_in_files, fetched
from api.commands.matching import redrawn, reindexed, say_map, say_report
from api.commands.refusals import RefusedError
from api.commands.screen import Screen, finish, write_document
from api.home import note_command, open_session, read_settings
from indexer.vocabulary import Kind
from indexer.wording import P_, T_
from matcher.review.roles import Role

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlmodel import Session

    from indexer.records.readers import ReadAs
    from indexer.settings import Settings
    from matcher.review.people import Principal


_SOURCES = (
    "A register or format: orcid, openalex-authors, openalex-institutions, openalex-works, ror, crossref, "
    "datacite, bibtex, ris, cordis, nsf, sbir, cerif, vivo, schema-org."
)
_FETCHED = "With --from: ask the register for this ORCID iD, DOI, ROR or OpenAlex id. May be repeated."


def import_records(
    context: typer.Context,
    files: Annotated[list[Path] | None, typer.Argument(help="JSON, CSV, XLSX, XLS or ODS files.")] = None,
    *,
    kind: Annotated[Kind | None, typer.Option(help="What the rows are; otherwise told from the file.")] = None,
    sheet: Annotated[str | None, typer.Option(help="Only this sheet of a workbook.")] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", help="What a column is, as HEADING=FIELD; HEADING=- leaves it out. May be repeated."),
    ] = None,
    mapping: Annotated[
        str | None, typer.Option(help="Use the columns saved under this name; with --map, save them under it.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")] = False,
    undo_job: Annotated[
        str | None, typer.Option("--undo", help="Take back what the import of this number changed.")
    ] = None,
    alliance: Annotated[
        str | None, typer.Option(help="Id of an alliance: new needs come in to it, new companies join its portfolio.")
    ] = None,
    source: Annotated[str | None, typer.Option("--from", help=_SOURCES)] = None,
    lab: Annotated[str | None, typer.Option(help="With --from: whose evidence the works are.")] = None,
    fetch: Annotated[list[str] | None, typer.Option("--fetch", help=_FETCHED)] = None,
    contact: Annotated[
        str | None, typer.Option(help="With --fetch: whom the register may write to; else GLORIA_MAIL_FROM.")
    ] = None,
    template: Annotated[Path | None, typer.Option(help="Write a template (.xlsx or .csv) to fill in instead.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Import records; a second import of the same file changes nothing."""
    screen = Screen.of(context)
    if sum(map(bool, (files or fetch, template, undo_job))) != 1:
        raise typer.BadParameter(T_("give files to import, or --template with a file to write"), param_hint="FILE")
    if template is not None:
        _write_template(screen, template, kind, as_json)
        return
    if undo_job is not None:
        take_back(screen, undo_job, as_json=as_json)
        return
    if fetch and source is None:
        raise typer.BadParameter(T_("say with --from which register is asked"), param_hint="--fetch")
    if source is not None:
        found = [*(files or []), *(fetched(screen, source, fetch, contact, quiet=as_json) if fetch else [])]
        bring_in_files(screen, source, found, lab_id=lab, dry_run=dry_run, as_json=as_json)
        return
    said = partial(read_as, kind=kind, sheet=sheet, columns=columns or [], mapping=mapping, keeps=not dry_run)
    finish(_import_files(screen, files or [], said, Way(dry_run, alliance, quiet=as_json)))


def _import_files(screen: Screen, files: list[Path], said: Callable[[Session], ReadAs], way: Way) -> bool:
    """Import files as it is said that they are read; return whether something in them was refused."""
    documents: list[dict[str, object]] = []
    if screen.err.is_terminal and not way.quiet:
        # Opening the database takes longer than people wait for a first word.
        screen.note(T_("opening the database"))
    with open_session(read_settings(), writes=not way.dry_run) as session:
        read = said(session)
        for path in files:
            documents += import_one(screen, session, path, read, way)
    if way.quiet:
        write_document({"dry_run": way.dry_run, "files": documents})
    return any(document["refused"] or document["errors"] for document in documents)


def _write_template(screen: Screen, path: Path, kind: Kind | None, as_json: bool) -> None:
    from indexer.records.readers import kind_in_name
    from indexer.records.writers import write_template

    kind = kind or kind_in_name(path.stem)
    if kind is None:
        raise RefusedError(
            T_("%(name)s does not name a kind; add --kind, one of %(kind)s", name=path.name, kind=", ".join(Kind))
        )
    if path.exists():
        raise RefusedError(
            T_("%(path)s exists already and may be filled in; choose another name or remove it", path=path)
        )
    try:
        write_template(path, kind)
    except ValueError as error:
        raise RefusedError(T_("%(name)s: %(error)s", name=path.name, error=error)) from error
    if as_json:
        write_document({"template": str(path), "kind": kind})
    else:
        screen.say(T_("wrote the template %(path)s (%(kind)s)", path=path, kind=kind))


def synthesise(
    context: typer.Context,
    labs: Annotated[int, typer.Option(min=1, help="How many labs.")],
    needs: Annotated[int, typer.Option(min=1, help="How many needs.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 106,
) -> None:
    """Write synthetic records for load tests; they say nothing about quality."""
    from fixtures.synthetic import generate

    screen = Screen.of(context)
    for path in generate(labs=labs, needs=needs, out=out, seed=seed):
        screen.out.print(str(path), soft_wrap=True)


class Exported(StrEnum):
    """What can be exported."""

    LABS = "labs"
    EVIDENCE = "evidence"
    NEEDS = "needs"
    COMPANIES = "companies"
    SCHOOLS = "schools"
    ALLIANCES = "alliances"
    PAIRINGS = "pairings"
    CASES = "cases"
    TERMS = "terms"
    MINED_TERMS = "mined-terms"


class FileFormat(StrEnum):
    """What kind of file."""

    JSONL = "jsonl"
    CSV = "csv"
    XLSX = "xlsx"
    ODS = "ods"
    CERIF = "cerif"
    SCHEMA_ORG = "schema-org"
    BIBTEX = "bibtex"


_OF_LABS = {FileFormat.CERIF: ".xml", FileFormat.SCHEMA_ORG: ".jsonld", FileFormat.BIBTEX: ".bib"}
"""The formats in which labs go to other systems, with the ending of their files."""


def export(
    context: typer.Context,
    kind: Annotated[Exported, typer.Argument(help="What to export.")],
    out: Annotated[Path, typer.Option(help="The file to write; it must not exist yet.")],
    *,
    file_format: Annotated[
        FileFormat | None, typer.Option("--format", help="Otherwise told from the file's name.")
    ] = None,
    lab: Annotated[str | None, typer.Option(help="Only this lab, as cerif, schema-org or bibtex.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Export everything there is of a kind, confidential texts too; labs for other systems as well."""
    screen = Screen.of(context)
    suffix = out.suffix.lower()
    chosen = file_format or next((one for one in FileFormat if suffix == _OF_LABS.get(one, f".{one.value}")), None)
    if chosen is None:
        raise typer.BadParameter(
            T_("name a file that ends in .jsonl, .csv, .xlsx, .ods, .xml, .jsonld or .bib, or add --format"),
            param_hint="--out",
        )
    if (chosen in _OF_LABS or lab is not None) and (kind is not Exported.LABS or chosen not in _OF_LABS):
        raise typer.BadParameter(
            T_("cerif, schema-org and bibtex are of labs, and --lab is of these formats"), param_hint="--format"
        )
    if out.exists():
        raise RefusedError(T_("%(out)s exists already; choose another name or remove it", out=out))
    rows = _write_labs(out, chosen, lab) if chosen in _OF_LABS else _write(kind, out, chosen)
    if as_json:
        write_document({"file": str(out), "kind": kind, "format": chosen, "rows": rows})
    else:
        screen.say(T_("exported %(rows)s %(kind)s to %(out)s", rows=rows, out=out, kind=_LABELS[kind]))


_LABELS = {
    Exported.LABS: P_("export", "labs"),
    Exported.EVIDENCE: P_("export", "pieces of evidence"),
    Exported.NEEDS: P_("export", "needs"),
    Exported.COMPANIES: P_("export", "companies"),
    Exported.SCHOOLS: P_("export", "schools"),
    Exported.ALLIANCES: P_("export", "alliances"),
    Exported.PAIRINGS: P_("export", "pairings"),
    Exported.CASES: P_("export", "cases"),
    Exported.TERMS: P_("export", "terms"),
    Exported.MINED_TERMS: P_("export", "terms found in labs' records"),
}


def _write(kind: Exported, out: Path, chosen: FileFormat) -> int:
    """Write the file beside its place and put it there once it is whole; return how many rows it has."""
    from api.routes.files.exports import KEPT_KINDS, SOURCES, text_chunks
    from indexer.database import open_engine, writing
    from indexer.records.writers import BOOKS, Format, TooMuchForSheetError, write_book

    source, rows, part = SOURCES[kind].as_whole(), 0, out.with_name(f".{out.name}.part")
    ids: list[tuple[str, object]] = []
    engine = open_engine(read_settings())
    try:

        def counted(page: list[Any]) -> list[Any]:
            nonlocal rows
            rows += len(page)
            ids.extend((KEPT_KINDS.get(kind, ""), one["id"]) for one in page)
            return page

        pages = map(counted, source.pages(_reader(engine), all_rows=True))
        # Confidential texts: for the operator's eyes only.
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            if (written := Format(chosen)) in BOOKS:
                write_book(file, written, source.sheets, chain.from_iterable(pages))
            else:
                file.writelines(text_chunks(source, written, pages))
        if kind in KEPT_KINDS:
            with writing(engine) as session:
                note_command(session, KEPT_KINDS[kind], "list", "export", ids, seen=True)
        part.rename(out)
    except TooMuchForSheetError as error:
        raise RefusedError(str(error)) from error
    finally:
        part.unlink(missing_ok=True)
        engine.dispose()
    return rows


def _write_labs(out: Path, chosen: FileFormat, lab_id: str | None) -> int:
    """Write labs for another system; return how many."""
    from api.routes.files.exports import SOURCES
    from api.routes.files.lab_files import schools_by_id
    from indexer.database import open_engine
    from indexer.records.open_document import NotXmlError
    from indexer.sources.giving_out import LabFormat, given_out
    from matcher.review.own_lab.researchers import profile_document

    rows, part, engine = 0, out.with_name(f".{out.name}.part"), open_engine(read_settings())
    try:
        read = _reader(engine)
        pages = SOURCES["labs"].pages(read, all_rows=True)
        if lab_id is not None:
            found = read(lambda session, _: profile_document(session, lab_id))
            if found is None:
                raise RefusedError(T_("there is no lab %(lab)s", lab=lab_id))
            pages = iter([[found]])

        def counted(page: list[Any]) -> list[Any]:
            nonlocal rows
            rows += len(page)
            return page

        schools = read(lambda session, _: schools_by_id(session))
        with part.open("wb") as file:
            file.writelines(given_out(LabFormat(chosen), map(counted, pages), schools))
        part.rename(out)
    except NotXmlError as error:
        raise RefusedError(str(error)) from error
    finally:
        part.unlink(missing_ok=True)
        engine.dispose()
    return rows


def _reader(engine: Engine) -> Callable[[Callable[[Session, Principal], Any]], Any]:
    from sqlmodel import select

    from indexer.database import reading
    from indexer.records.record_tables import Alliance
    from matcher.review.people import Principal
    from matcher.review.roles import Role

    def read(work: Callable[[Session, Principal], Any]) -> Any:
        with reading(engine) as session:
            # The operator sees what the lead of every alliance sees.
            grants = frozenset(
                (Role.LEAD, alliance_id) for alliance_id in ("", *session.exec(select(Alliance.id)).all())
            )
            return work(session, Principal("operator", "operator", grants, frozenset()))

    return read


ALLIANCE, NEED, LAB = "al-02", "need-2-03", "lab-2-09"
"""Whose expert, company and researcher they are."""


@dataclass(frozen=True)
class DemoPerson:
    """Somebody to sign in as."""

    email: str
    role: Role


def let_people_in(session: Session, now: datetime) -> tuple[list[DemoPerson], str | None]:
    """Make the accounts, or find those made before; return them with their password, None if it was told before."""
    from sqlmodel import select

    from api.access.credentials import password_hash, set_password_hash
    from api.access.passwords import hash_password
    from indexer.records.record_tables import Lab, Need
    from matcher.ledger.story import name_of
    from matcher.review.people import Account, add_account, grant

    company = session.exec(select(Need.company).where(Need.id == NEED)).one() or ""
    wanted = (
        (f"expert-{ALLIANCE}", Role.EXPERT, ALLIANCE),
        ("lead", Role.LEAD, ALLIANCE),
        ("company", Role.COMPANY, company),
        ("researcher", Role.RESEARCHER, LAB),
        ("committee", Role.COMMITTEE, ALLIANCE),
        ("office", Role.OFFICE, ""),
        ("second-office", Role.OFFICE, ""),
    )
    people = [DemoPerson(f"{name}@gloria.example", role) for name, role, _ in wanted]
    if password_hash(session, people[0].email) is not None:
        return people, None
    password = secrets.token_urlsafe(9)
    stored = hash_password(password)
    for person, (name, role, scope) in zip(people, wanted, strict=True):
        account = session.exec(select(Account).where(Account.email == person.email)).first()
        if account is None:
            # Whose lab it is has that name in the demo world.
            shown = session.exec(select(Lab.pi).where(Lab.id == LAB)).one() if name == "researcher" else name_of(name)
            account = add_account(session, email=person.email, name=shown, now=now)
        grant(session, account_id=account.id, role=role, scope_id=scope, by=None, now=now)
        set_password_hash(session, account_id=account.id, stored=stored, now=now)
    return people, password


def mark_as_demo(session: Session, settings: Settings) -> None:
    """Note that a home is for trying things out, unless somebody has an account there who is not of the demo."""
    from sqlmodel import col, select

    from api.access.second_factor import DEMO_FILE
    from matcher.review.people import Account

    others = select(Account.id).where(col(Account.email).not_like("%@gloria.example")).limit(1)
    if session.exec(others).first() is None:
        said = "Filled by gloria demo: no second factor is asked for. Delete this file before real people work here.\n"
        (settings.home / DEMO_FILE).write_text(said, encoding="utf-8")


SHOWN_NEEDS = ("need-2-01", "need-1-10", "need-4-06")
"""One that several schools answer together, one in English, one in Chinese with three asks."""
SHOWN_LABS = 3


def show_demo(
    context: typer.Context,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Stop after printing; never start a server.")] = False,
) -> None:
    """Import and index the demo world, then match three of its needs."""
    from api.commands.printing import print_match
    from indexer.instants import day_in_taipei, now
    from matcher.ledger.story import settle
    from matcher.ranking.pairings import Matcher

    del no_serve  # accepted already, so that scripts stay right once there is a server
    screen = Screen.of(context)
    settings = read_settings()
    _import_world(screen, settings)
    _tell_story(screen, settings)
    with open_session(settings, writes=True) as session:
        settle(session, today=day_in_taipei(now()))
        people, password = let_people_in(session, datetime.now(UTC))
        mark_as_demo(session, settings)
        session.commit()
    say_report(screen, reindexed(screen, settings))
    say_map(screen, redrawn(settings))
    matcher = Matcher.open(settings)
    for need_id in SHOWN_NEEDS:
        screen.out.print()
        screen.out.rule(style="bold cyan")
        print_match(screen, matcher, matcher.match(matcher.need(need_id), top=SHOWN_LABS))
    _say_next(screen, settings, people, password)


def _import_world(screen: Screen, settings: Settings) -> None:
    from fixtures import world_files
    from indexer.records.importing import import_file

    with open_session(settings, writes=True) as session:
        before = _lab_ids(session)
        reports = [import_file(session, path) for path in world_files()]
        after = _lab_ids(session)
        # Rolled back on the way out: invented records must never mix with real ones.
        if before and before != after:
            raise RefusedError(
                T_(
                    "%(home)s holds other records; choose an empty folder: GLORIA_HOME=demo-data gloria demo",
                    home=settings.home,
                )
            )
        session.commit()
    counts = ", ".join(f"{report.kind} {report.created + report.updated + report.unchanged}" for report in reports)
    screen.say(T_("demo world (all invented): %(counts)s", counts=counts))


def _tell_story(screen: Screen, settings: Settings) -> None:
    """Replay the programme's invented years, so that cases, ledger and figures have something to show."""
    from sqlmodel import select

    from indexer.database import open_engine, reading, writing
    from indexer.instants import day_in_taipei, now
    from matcher.ledger.rows.entries import Entry
    from matcher.ledger.rules.months import begin_months
    from matcher.ledger.story import FIRST_DAY, LAST_DAY, load_story

    engine = open_engine(settings)
    try:
        with reading(engine) as session:
            told = session.exec(select(Entry.seq).limit(1)).first() is not None
        if not told:
            with writing(engine) as session:
                begin_months(session, now=datetime.now(UTC))
            load_story(engine, home=settings.home, cases_until=day_in_taipei(now()))
    finally:
        engine.dispose()
    screen.say(
        T_("the ledger's story (invented): %(first_day)s to %(last_day)s", first_day=FIRST_DAY, last_day=LAST_DAY)
    )


def _lab_ids(session: Session) -> set[str]:
    from indexer.records.record_tables import load_labs

    return {lab.id for lab in load_labs(session)}


def _say_next(screen: Screen, settings: Settings, people: list[DemoPerson], password: str | None) -> None:
    screen.out.print()
    screen.say(
        T_("In a browser: gloria serve, then open http://127.0.0.1:8000"),
        "bold",
    )
    for person in people:
        screen.out.print(f"  {person.email:<32} {person.role}", soft_wrap=True)
    if password is None:
        screen.say(
            T_("  the password is the one shown at first; set anew: gloria user password"),
        )
    else:
        screen.say(T_("  password (shown this once): %(password)s", password=password))
    screen.out.print()
    screen.say(T_("What to try next:"), "bold")
    hints = (
        ("gloria match need-3-02 --top 10", T_("another need, ten labs")),
        ("gloria match --lab lab-1-03", T_("the other direction: needs for a lab")),
        ("gloria match need-3-02 --json", T_("the same for a program")),
        ("gloria --lang en match need-1-10", T_("in English")),
        ("gloria import --template labs.xlsx", T_("a template for your own labs")),
        ("gloria user key lead@gloria.example --name laptop", T_("a key for programs")),
        ("gloria report b003 --as-of 2020-12-31 --out b003.pdf", T_("the programme's table B003")),
        ("gloria doctor", T_("checks machine, records and index")),
    )
    for command, what in hints:
        screen.say(T_("  %(command)s  %(what)s", command=f"{command:<38}", what=what))
    home = settings.home
    screen.say(T_("State is kept in %(home)s (GLORIA_HOME).", home=home), "dim")
