"""`gloria ledger`, `report` and `audit`: prove what is chained, hand it over, set its rules, report on it.

In: the database, or a file that was exported from one; a document of rules; a report's name, a day, perhaps a year
and alliances. Out: findings, with exit code 1 if there are any; files, whose format their names tell; the document
that holds. It exists so that nobody has to believe the figures: who runs the machine verifies every row of the
ledger and of the audit trail, and who has only a file recomputes it. Everything that a report says is as of the end
of the given day in Taipei.
"""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.refusals import RefusedError
from api.commands.screen import Screen, finish, write_document
from api.home import note_command, open_reading, open_session, read_settings
from indexer.wording import T_

if TYPE_CHECKING:
    from sqlmodel import Session

    from indexer.settings import Settings
    from matcher.ledger.rendering.formats import ReportFormat
    from matcher.ledger.rendering.report_texts import ReportLanguage
    from matcher.ledger.reports.document import ReportDocument
    from matcher.ledger.rows.chain import ExportedHead


ledger = typer.Typer(no_args_is_help=True, help="The ledger of results: prove it, export it, keep its heads.")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@ledger.command("verify")
def verify(
    context: typer.Context,
    *,
    head: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Heads kept elsewhere: of a night's mail or gloria ledger heads --out; or a report, or an export.",
        ),
    ] = None,
    public_key: Annotated[str, typer.Option(help="Whose signature they must carry; see gloria ledger key.")] = "",
    as_json: AsJson = False,
) -> None:
    """Look at every row, replay every rule, compare the database's own rules with this release's.

    Without heads that were kept outside of the home it can say that all fits together, but not that nobody rewrote it
    as a whole: it says "not proven" then. Ends with exit code 1 if anything is not as it must be, or is not proven.
    """
    from matcher.ledger.proving.heads import HEADS_FILE, read_heads
    from matcher.ledger.proving.verification import verify as verify_ledger

    settings = read_settings()
    exported, outside = read_heads(settings.home / HEADS_FILE), _outside(settings, head or [], public_key)
    with open_reading(settings) as session:
        verdict = verify_ledger(session, home=settings.home, exported=[*exported, *outside])
    findings = [{"check": one.check, "place": one.place, "message": one.message} for one in verdict.findings]
    proven = bool(outside) and not findings
    if as_json:
        said = {"entries": verdict.entries, "steps": verdict.steps, "heads": dict(verdict.heads), "findings": findings}
        write_document({**said, "exported_heads": len(exported), "outside_heads": len(outside), "proven": proven})
    else:
        compared = len(exported) + len(outside)
        _tell(context, {"entries": verdict.entries, "steps": verdict.steps}, dict(verdict.heads), compared)
        _complain(context, [_finding(f"{one['check']}: {one['place']}", one["message"]) for one in findings])
        if not findings and not outside:
            Screen.of(context).complain(NOT_PROVEN, "yellow")
    finish(findings or not proven)


NOT_PROVEN = T_(
    "not proven: nothing from outside this home was compared; give --head FILE, such as the head of a night's mail"
)


def _outside(settings: Settings, files: list[Path], public_key: str) -> list[ExportedHead]:
    """Return the heads of files that lie outside of the home."""
    from functools import partial

    from matcher.ledger.proving.heads import read_kept
    from matcher.ledger.proving.stamps import check_stamp

    certificates = settings.stamp_certificates
    check = None if certificates is None else partial(check_stamp, certificates=certificates)
    for path in files:
        if path.resolve().is_relative_to(settings.home.resolve()):
            raise RefusedError(
                T_("--head %(path)s: lies in the home, beside what it is to prove; keep it elsewhere", path=path)
            )
    return [one for path in files for one in read_kept(path, public_key, check)]


@ledger.command("key")
def print_key(context: typer.Context) -> None:
    """Print the public key with which others check the signatures of heads."""
    from matcher.ledger.proving.heads import key_of, public_key_of

    Screen.of(context).out.print(public_key_of(key_of(read_settings())), soft_wrap=True)


@ledger.command("export")
def export(
    context: typer.Context, *, out: Annotated[Path, typer.Option(help="The file, such as ledger.jsonl.")]
) -> None:
    """Write every row in its canonical form, so that an outsider can recompute both chains.

    Each line is {"chain": "entries" or "steps", "row": {...}}, by chain and number; then two are {"head": {...}},
    and the last is {"signed_heads": "..."}, for: gloria ledger verify --head FILE
    A row's hash is the SHA-256, in hexadecimal, over the row without "hash", as JSON in UTF-8 with sorted keys and
    no blanks. "prev_hash" is the hash of the row before it, 64 zeros for the first. "seq" counts from 1 without a gap.
    Moments are in UTC with microseconds, shares in basis points, amounts in whole units. Names of people are not part
    of it. Check it with: gloria ledger check FILE
    """
    from matcher.ledger.proving.heads import key_of, seal_of
    from matcher.ledger.proving.verification import export_lines

    rows, settings, now = 0, read_settings(), datetime.now(UTC)
    key = key_of(settings)
    with open_reading(settings) as session, out.open("wb") as file:
        for line in export_lines(session, now, seal=seal_of(session, key, now)):
            file.write(line)
            rows += 1
    Screen.of(context).say(T_("wrote %(out)s (%(rows)s lines)", out=out, rows=f"{rows:,}"))


@ledger.command("check")
def check(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="HEADS_FILE", help="A file that gloria ledger export wrote.")],
    *,
    heads: Annotated[
        Path | None, typer.Option(help="Heads that were kept, one JSON object a line, such as ledger-heads.jsonl.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute an exported ledger; needs no database. Ends with exit code 1 if it does not fit together."""
    from matcher.ledger.export_check import check_export

    kept = [] if heads is None else _read_kept(heads)
    with path.open("rb") as file:
        checked = check_export(file, kept=kept)
    if as_json:
        findings = [{"line": one.line, "message": one.message} for one in checked.findings]
        write_document({**checked.rows, "heads": checked.heads, "findings": findings, "kept_heads": checked.kept_heads})
    else:
        _tell(context, checked.rows, checked.heads, checked.kept_heads)
        _complain(context, [_finding(f"{path.name}:{one.line}", one.message) for one in checked.findings])
    finish(checked.findings)


@ledger.command("heads")
def export_the_heads(
    context: typer.Context,
    *,
    out: Annotated[
        Path | None, typer.Option(help="Add them, signed, to this file too; on another disk, say. For verify --head.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the heads of all chains down in GLORIA_HOME/ledger-heads.jsonl; keep them elsewhere too.

    A ledger that was cut off or rewritten no longer contains them: gloria ledger verify says so.
    """
    from dataclasses import asdict

    from matcher.ledger.proving.heads import HEADS_FILE, export_heads

    settings, now = read_settings(), datetime.now(UTC)
    with open_reading(settings) as session:
        signed = None if out is None else _signed_line(session, settings, now)
        heads = export_heads(session, settings.home / HEADS_FILE, now)
    if out is not None and signed is not None:
        with out.open("ab") as file:
            file.write(signed)
    if as_json:
        write_document({"file": str(settings.home / HEADS_FILE), "heads": [asdict(head) for head in heads]})
        return
    screen = Screen.of(context)
    for head in heads:
        screen.out.print(f"{head.chain} {head.n} {head.hash}", soft_wrap=True)
    screen.note(T_("written down in %(home)s", home=out or settings.home / HEADS_FILE))


def _signed_line(session: Session, settings: Settings, now: datetime) -> bytes:
    import orjson

    from matcher.ledger.proving.heads import key_of, signed_heads
    from matcher.ledger.proving.stamps import StampError, stamped

    stamp = (lambda message: stamped(message, settings.stamp_url)) if settings.stamp_url else None
    try:
        return orjson.dumps(signed_heads(session, key_of(settings), now, stamp)) + b"\n"
    except StampError as error:
        raise RefusedError(str(error)) from error


def _read_kept(path: Path) -> list[dict[str, Any]]:
    import orjson

    kept = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            said = orjson.loads(line)
            # A signed line, such as a night mails, holds the heads of all chains.
            for head in said.get("heads", [said]):
                kept.append({"chain": str(head["chain"]), "n": int(head["n"]), "hash": str(head["hash"])})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RefusedError(
                T_("%(name)s:%(number)s is not a head; give chain, n and hash", name=path.name, number=number)
            ) from error
    return kept


def _tell(context: typer.Context, rows: dict[str, int], heads: dict[str, str], kept: int) -> None:
    screen = Screen.of(context)
    screen.say(
        T_(
            "%(entries)s entries, %(steps)s steps, compared with %(kept)s heads that were kept",
            entries=f"{rows['entries']:,}",
            steps=f"{rows['steps']:,}",
            kept=f"{kept:,}",
        ),
    )
    for chain, head in heads.items():
        screen.out.print(f"{chain} {head}", soft_wrap=True)


def _finding(place: str, message: str) -> str:
    return T_("%(place)s: %(msg)s", place=place, msg=message)


def _complain(context: typer.Context, findings: list[str]) -> None:
    screen = Screen.of(context)
    for finding in findings:
        screen.complain(finding)
    if findings:
        screen.complain(screen.text(T_("%(n_findings)s findings", n_findings=len(findings))))
    else:
        screen.say(T_("everything fits"), "green")


def configure(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Which document, such as points; a wrong name lists all.")],
    *,
    new: Annotated[
        Path | None, typer.Option("--set", metavar="FILE", help="The document as it is to be from now on, as JSON.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why it is set.")] = "",
    by: Annotated[
        str, typer.Option(metavar="EMAIL", help="Who sets it. Default: the one account of the programme office.")
    ] = "",
) -> None:
    """Show the rules and values of the programme as JSON, or set them; what held before stays on record.

    Rules that bind two people are only moved; another person agrees in the pages, or by: gloria ledger second

    To change one: gloria ledger configure points > points.json, edit the file, then
    gloria ledger configure points --set points.json --reason "..."
    """
    import orjson

    from matcher.ledger.rule_documents import DOCUMENTS
    from matcher.ledger.rules.configuration import current, latest

    kind = DOCUMENTS.get(name)
    if kind is None:
        raise RefusedError(
            T_(
                "there is no document %(name)r; choose one of: %(documents)s",
                name=name,
                documents=", ".join(sorted(DOCUMENTS)),
            )
        )
    screen = Screen.of(context)
    if new is not None:
        number = _set(name, _read(new), reason, by)
        if kind.takes_two:
            screen.say(
                T_("moved: motion %(number)s waits for a second person, see gloria ledger motions", number=number)
            )
        else:
            screen.say(T_("%(name)s is set, version %(version)s", name=name, version=number))
        return
    with open_reading(read_settings()) as session:
        document, stored = current(session, kind), latest(session, name)
        if stored is None:
            screen.note(T_("as it comes with the product; nobody changed it yet"))
        else:
            day = f"{stored.at:%Y-%m-%d}"
            screen.note(
                T_(
                    "version %(version)s, %(day)s, because: %(reason)s",
                    version=stored.version,
                    day=day,
                    reason=stored.reason,
                )
            )
        write_document(orjson.loads(document.model_dump_json()))


def load_demo(context: typer.Context) -> None:
    """Load the invented story of the years 106 to 109 into an empty database; takes half a minute."""
    from api import tables  # noqa: F401 (tables refer to each other, so all must be known)
    from indexer.database import open_engine
    from matcher.ledger.story import LAST_DAY, load_story

    screen, settings = Screen.of(context), read_settings()
    engine = open_engine(settings)
    try:
        load_story(engine, home=settings.home)
    finally:
        engine.dispose()
    screen.say(T_("the story of 106 to 109 is loaded (all invented)"))
    screen.say(T_("What to try next:"), "bold")
    day = LAST_DAY.isoformat()
    hints = (
        (f"gloria report b003 --as-of {day} --out b003.pdf", T_("the main indicators")),
        (f"gloria report kpi --as-of {day} --out kpi.html", T_("figures against targets")),
        ("gloria ledger verify", T_("proves every row")),
        ("gloria ledger configure target_books", T_("the targets")),
    )
    for command, what in hints:
        screen.say(T_("  %(command)s  %(what)s", command=f"{command:<56}", what=what))


def _read(path: Path) -> Any:
    import orjson

    try:
        return orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise RefusedError(T_("%(path)s: is not JSON: %(error)s", path=path, error=error)) from error


def _set(name: str, content: Any, reason: str, by: str) -> int:
    """Set a document, or move that it be; return the number of the version, or of the motion."""
    from indexer.plain_text import clean
    from matcher.ledger.rows.entries import MAX_TEXT
    from matcher.ledger.rule_documents import DOCUMENTS, checked_document, move_document
    from matcher.ledger.rules.configuration import change

    said = clean(reason, max_chars=MAX_TEXT, multiline=True)
    if not said:
        raise RefusedError(T_("--reason: say why it is set"))
    document = checked_document(DOCUMENTS[name], content)
    with open_session(read_settings(), writes=True) as session:
        author, now = _author(session, by), datetime.now(UTC)
        if document.takes_two:
            number = move_document(session, document, reason=said, by=author, now=now).id or 0
        else:
            number = change(session, document, reason=said, by=author, now=now)
        note_command(session, "configuration", "edit", "ledger configure", [("configuration", name)])
        session.commit()
    return number


@ledger.command("motions")
def motions(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List what was moved and waits for a second person."""
    from sqlmodel import col, select

    from matcher.ledger.rows.motions import Motion, MotionEnd
    from matcher.review.people import Account

    with open_reading(read_settings()) as session:
        waits = select(Motion, Account.email).join(Account, col(Account.id) == col(Motion.moved_by))
        rows = session.exec(waits.where(col(Motion.id).not_in(select(MotionEnd.motion_id))).order_by(col(Motion.id)))
        found = [{**motion.model_dump(mode="json"), "by": email} for motion, email in rows.all()]
    if as_json:
        write_document({"motions": found})
        return
    screen = Screen.of(context)
    for one in found:
        row = (str(one["id"]), one["kind"], one["subject"].strip(), one["by"], one["moved_at"][:10], one["reason"])
        screen.out.print("  ".join(row), markup=False, soft_wrap=True)
    if not found:
        screen.say(T_("nothing waits for a second person"))


@ledger.command("second")
def second(
    context: typer.Context,
    motion: Annotated[int, typer.Argument(min=1, help="The number of the motion.")],
    *,
    by: Annotated[str, typer.Option(metavar="EMAIL", help="Who agrees, an account of the programme office.")],
) -> None:
    """Agree as the second person to a change of rules or a role.

    Who agrees gives the password on stdin and, where they have a second factor, a code of it on the next line.
    """
    from api.commands.people import proof_of_stdin, proven_person
    from matcher.ledger.rows.motions import MotionKind, open_motion
    from matcher.ledger.rule_documents import second_document
    from matcher.ledger.rules.granting import second_grant

    settings = read_settings()
    with open_reading(settings) as session:
        who = _author(session, by)
    proof = proof_of_stdin(settings, who)
    with proven_person(settings, who, by, proof) as session:
        kind = open_motion(session, motion).kind
        if kind == MotionKind.CONFIGURE:
            second_document(session, motion_id=motion, by=who, now=datetime.now(UTC))
        elif kind == MotionKind.GRANT:
            second_grant(session, motion_id=motion, by=who, now=datetime.now(UTC))
        else:
            raise RefusedError(T_("results and quarters are decided in the pages: sign in and open Review"))
        note_command(session, "motion", "second", "ledger second", [("motion", motion)], by=who)
    Screen.of(context).say(T_("agreed: it is carried out"))


def _author(session: Session, email: str) -> str:
    """Return the id of the account that sets a document: the named one, or the only one there is."""
    from sqlmodel import col, select

    from matcher.review.people import Account, Grant, principal
    from matcher.review.roles import Role

    if email:
        named = session.exec(select(Account.id).where(Account.email == email.strip().lower())).first()
        who = None if named is None else principal(session, named)
        if who is None or not who.holds(Role.OFFICE):
            raise RefusedError(T_("--by %(email)s: there is no such account of the programme office", email=email))
        return who.id
    query = select(Grant.account_id).where(Grant.role == Role.OFFICE.value, col(Grant.revoked_at).is_(None))
    found = {account_id for account_id in session.exec(query).all() if principal(session, account_id) is not None}
    if len(found) != 1:
        raise RefusedError(T_("--by: say which account of the programme office sets it"))
    return found.pop()


def report(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Which report, such as entries; a wrong name lists all.")],
    *,
    out: Annotated[
        Path, typer.Option(help="The file; its end tells the format: xlsx, ods, docx, odt, csv, pdf, html or json.")
    ],
    as_of: Annotated[str, typer.Option(help="The day, such as 2019-06-30. Default: today in Taipei.")] = "",
    year: Annotated[int | None, typer.Option(help="A KPI year, such as 108 or 2019. Default: all.")] = None,
    alliance: Annotated[list[str] | None, typer.Option(help="Only of this alliance; may be given again.")] = None,
    inside: Annotated[
        bool, typer.Option("--inside", help="It stays in the one alliance it is about: small counts are printed too.")
    ] = False,
    both: Annotated[bool, typer.Option("--both", help="In Chinese and English, instead of the one of --lang.")] = False,
) -> None:
    """Write a report of the ledger as XLSX, ODS, DOCX, ODT, CSV, PDF, HTML or JSON.

    It carries the signed heads of the ledger, for: gloria ledger verify --head FILE
    """
    from dataclasses import replace

    from indexer.instants import day_in_taipei
    from matcher.ledger.proving.heads import key_of, seal_of
    from matcher.ledger.rendering.formats import ReportFormat, render
    from matcher.ledger.rendering.report_texts import ReportLanguage
    from matcher.ledger.reports.document import ReportRequest
    from matcher.ledger.reports.registry import make_report
    from matcher.ledger.rows.periods import common_year

    screen, now = Screen.of(context), datetime.now(UTC)
    form = format_of(out)
    day = _day(as_of) if as_of else day_in_taipei(now)
    settings = read_settings()
    with open_reading(settings) as session:
        request = ReportRequest(
            as_of=day,
            now=now,
            year=None if year is None else common_year(year),
            alliances=_known(session, alliance) if alliance else None,
            stays_inside=inside,
        )
        document = make_report(session, name, request)
        document = replace(document, seal=seal_of(session, key_of(settings), now))
    language = ReportLanguage.BOTH if both else ReportLanguage(screen.language.value)
    content = render(document, form, language)
    _write(out, content)
    screen.say(T_("wrote %(out)s (%(n_content)s bytes)", out=out, n_content=f"{len(content):,}"))
    if form is ReportFormat.PDF:
        _warn_of_missing(screen, document, language)


def _warn_of_missing(screen: Screen, document: ReportDocument, language: ReportLanguage) -> None:
    from matcher.ledger.rendering.printed_pages import not_in_the_font

    missing = [f"{one} (U+{ord(one):04X})" for one in not_in_the_font(document, language)]
    if missing:
        told = T_(
            "the font of the PDF does not have %(characters)s: their numbers stand instead; HTML and XLSX have them",
            characters=", ".join(missing),
        )
        screen.warn(told)


def format_of(out: Path) -> ReportFormat:
    """Return the format that a file's name asks for.

    Raises:
        RefusedError: there is none of that ending.
    """
    from matcher.ledger.rendering.formats import ReportFormat

    ending = out.suffix.lower().removeprefix(".")
    if ending not in [form.value for form in ReportFormat]:
        raise RefusedError(
            T_(
                "--out %(out)s: the name has to end in %(suffixes)s",
                out=out,
                suffixes=", ".join("." + form for form in ReportFormat),
            )
        )
    return ReportFormat(ending)


def _day(given: str) -> date:
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise RefusedError(T_("--as-of %(given)s: give a day such as 2019-06-30", given=given)) from error


def _known(session: Session, alliances: list[str]) -> frozenset[str]:
    from sqlmodel import col, select

    from indexer.records.record_tables import Alliance

    known = set(session.exec(select(Alliance.id).where(col(Alliance.id).in_(alliances))).all())
    missing = sorted(set(alliances) - known)
    if missing:
        raise RefusedError(T_("--alliance %(missing)s: there is no such alliance", missing=missing[0]))
    return frozenset(known)


def _write(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


audit = typer.Typer(no_args_is_help=True, help="The audit trail: who saw and did what.")


@audit.callback()
def audit_group() -> None:
    """Look after the audit trail."""


@audit.command("verify")
def verify_audit(
    context: typer.Context,
    *,
    head: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="Heads kept elsewhere.")] = None,
    public_key: Annotated[str, typer.Option(help="Whose signature they must carry.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Recompute every row of the audit trail: numbers without a gap, hashes, subjects, its end.

    Ends with exit code 1 if one is wrong.
    """
    from api.trail.audit_trail import verify_trail
    from matcher.ledger.proving.heads import HEADS_FILE, read_heads

    settings = read_settings()
    kept = [*read_heads(settings.home / HEADS_FILE), *_outside(settings, head or [], public_key)]
    with open_reading(settings) as session:
        verdict = verify_trail(session, kept)
    if as_json:
        write_document({"rows": verdict.rows, "head": verdict.head, "findings": list(verdict.findings)})
    else:
        screen = Screen.of(context)
        screen.say(T_("%(rows)s rows of the audit trail", rows=f"{verdict.rows:,}"))
        screen.out.print(f"audit {verdict.head}", soft_wrap=True)
        for finding in verdict.findings:
            screen.complain(finding)
        if not verdict.findings:
            screen.say(T_("everything fits"), "green")
    finish(verdict.findings)
