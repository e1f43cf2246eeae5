"""What `gloria doctor` finds in the records and the index.

In: the settings. Out: findings: is the database reachable, is every byte of
the index right, does it know all records, was it built with the encoders of
this machine, does a need exclude a lab that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from api.machine_checks import Finding, Level
from api.opening import open_session
from api.refusals import refusal
from indexer.wording import T_, Language, Text, either, said

if TYPE_CHECKING:
    from sqlmodel import Session

    from indexer.settings import Settings
    from matcher.pairings import Matcher

_SHOWN = 5


def check_records(settings: Settings) -> Iterator[Finding]:
    """Yield the findings on records and index; an empty home is not created by looking."""
    if not settings.database_url and not settings.database_path.exists():
        remedy = T_("gloria demo, or gloria import FILE...")
        found = T_("%(home)s holds no records yet", home=settings.home)
        yield Finding("database", found, Level.PROBLEM, remedy)
        return
    try:
        with open_session(settings) as session:
            findings = list(_opened(session, settings))
    except Exception as error:
        told = refusal(error)
        if told is None:
            raise
        remedy = T_("check GLORIA_HOME and GLORIA_DATABASE_URL")
        findings = [Finding("database", told.message, Level.PROBLEM, remedy)]
    yield from findings


def _opened(session: Session, settings: Settings) -> Iterator[Finding]:
    yield _counts(session)
    yield from _cache(settings)
    from matcher.pairings import Matcher

    try:
        matcher = Matcher.load(session, settings)
    except Exception as error:
        told = refusal(error)
        if told is None:
            raise
        yield Finding("index", *_with_remedy(said(told.message, Language.ZH), told.message))
        return
    yield _index(matcher)
    if matcher.index.problem is not None:
        found = T_("the newest can't be used: %(problem)s", problem=matcher.index.problem)
        yield Finding("newest index", found, Level.PROBLEM, "gloria reindex --full")
    yield from _stale(matcher)
    yield from _other_weights(matcher)
    yield _exclusions(matcher)


def _cache(settings: Settings) -> Iterator[Finding]:
    from indexer.embeddings import CacheError, EmbeddingCache

    if not settings.embeddings_path.exists():
        return
    try:
        kept = len(EmbeddingCache(settings.embeddings_path))
    except CacheError as error:
        remedy = T_("delete %(embeddings_path)s, gloria reindex", embeddings_path=settings.embeddings_path)
        yield Finding("embeddings", str(error), Level.PROBLEM, remedy)
        return
    yield Finding("embeddings", T_("%(kept)s vectors kept", kept=kept))


def _counts(session: Session) -> Finding:
    from sqlalchemy import func, select

    from indexer import records

    tables = (records.School, records.Alliance, records.Company, records.Lab, records.Evidence, records.Need)
    counts: dict[str, object] = {}
    for table in tables:
        counts[str(table.__tablename__)] = (
            session.connection().execute(select(func.count()).select_from(table)).scalar()
        )
    text = ", ".join(f"{name} {count}" for name, count in counts.items())
    if counts["lab"]:
        return Finding("database", text, facts=counts)
    remedy = "gloria import labs.jsonl"
    return Finding("database", T_("no labs; %(text)s", text=text), Level.PROBLEM, remedy, counts)


def _index(matcher: Matcher) -> Finding:
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
    return Finding("index", found, facts=facts)


def _stale(matcher: Matcher) -> Iterator[Finding]:
    for warning in matcher.stale:
        yield Finding("stale", *_with_remedy(warning.zh, warning.en))


def _with_remedy(zh: str, en: str) -> tuple[Text, Level, str]:
    """Part a message from the command at its end that puts things right."""
    found, _, remedy = en.partition("; run: ")
    return either(zh.partition("；請執行：")[0], found), Level.PROBLEM, remedy


def _other_weights(matcher: Matcher) -> Iterator[Finding]:
    """Compare the encoders' identities and weights, unless one would first have to be prepared."""
    from indexer.encoder import EncoderError, load_encoder

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
            yield Finding("encoder", found, Level.PROBLEM, "gloria reindex")
        elif weights != view.weights:
            found = T_("the weights of %(name)s are not those that the index was built with", name=view.name)
            yield Finding("encoder", found, Level.PROBLEM, T_("reinstall its package"))


def _exclusions(matcher: Matcher) -> Finding:
    from matcher.rules import unknown_exclusions

    unknown = [
        f"{need.id} → {name}"
        for need in matcher.needs.values()
        for name in unknown_exclusions(need, matcher.labs.values())
    ]
    if not unknown:
        return Finding("exclusions", T_("every lab that a need excludes exists"))
    listed = ", ".join(unknown[:_SHOWN]) + (" ..." if len(unknown) > _SHOWN else "")
    found = T_("needs exclude labs that do not exist: %(listed)s", listed=listed)
    remedy = T_("correct the ids in excluded_labs and import again; otherwise the lab that was meant may be proposed")
    return Finding("exclusions", found, Level.PROBLEM, remedy, {"unknown": unknown})
