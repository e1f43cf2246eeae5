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

if TYPE_CHECKING:
    from sqlmodel import Session

    from indexer.settings import Settings
    from matcher.pairings import Matcher

_SHOWN = 5


def check_records(settings: Settings) -> Iterator[Finding]:
    """Yield the findings on records and index; an empty home is not created by looking."""
    if not settings.database_url and not settings.database_path.exists():
        remedy = ("gloria demo，或 gloria import 檔案", "gloria demo, or gloria import FILE...")
        found = (f"{settings.home} 尚無資料", f"{settings.home} holds no records yet")
        yield Finding("database", found, Level.PROBLEM, remedy)
        return
    try:
        with open_session(settings) as session:
            findings = list(_opened(session, settings))
    except Exception as error:
        told = refusal(error)
        if told is None:
            raise
        remedy = ("檢查 GLORIA_HOME 與 GLORIA_DATABASE_URL", "check GLORIA_HOME and GLORIA_DATABASE_URL")
        findings = [Finding("database", (told.message, told.message), Level.PROBLEM, remedy)]
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
        message, _, remedy = told.message.partition("; run: ")
        yield Finding("index", (message, message), Level.PROBLEM, (remedy, remedy))
        return
    yield _index(matcher)
    if matcher.index.problem is not None:
        zh, en = f"最新的索引無法使用：{matcher.index.problem}", f"the newest can't be used: {matcher.index.problem}"
        yield Finding("newest index", (zh, en), Level.PROBLEM, ("gloria reindex --full", "gloria reindex --full"))
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
        remedy = (
            f"刪除 {settings.embeddings_path} 後執行 gloria reindex",
            f"delete {settings.embeddings_path}, gloria reindex",
        )
        yield Finding("embeddings", (str(error), str(error)), Level.PROBLEM, remedy)
        return
    yield Finding("embeddings", (f"快取向量 {kept} 筆", f"{kept} vectors kept"))


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
        return Finding("database", (text, text), facts=counts)
    remedy = ("gloria import labs.jsonl", "gloria import labs.jsonl")
    return Finding("database", (f"沒有實驗室；{text}", f"no labs; {text}"), Level.PROBLEM, remedy, counts)


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
    zh = f"{snapshot.generation}，{age:.1f} 小時前建立，實驗室 {labs}、段落 {passages}，逐位元組檢查無誤"
    en = f"{snapshot.generation}, built {age:.1f} hours ago, {labs} labs, {passages} passages, every byte verified"
    return Finding("index", (zh, en), facts=facts)


def _stale(matcher: Matcher) -> Iterator[Finding]:
    for warning in matcher.stale:
        zh, _, remedy = warning.zh.partition("；請執行：")
        en, _, _ = warning.en.partition("; run: ")
        yield Finding("stale", (zh, en), Level.PROBLEM, (remedy, remedy))


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
            found = (
                f"索引以 {view.identity} 建立，本機為 {identity}",
                f"the index was built with {view.identity}, this machine has {identity}",
            )
            yield Finding("encoder", found, Level.PROBLEM, ("gloria reindex", "gloria reindex"))
        elif weights != view.weights:
            found = (
                f"{view.name} 的模型檔與建立索引時不同",
                f"the weights of {view.name} are not those that the index was built with",
            )
            yield Finding("encoder", found, Level.PROBLEM, ("重新安裝該套件", "reinstall its package"))


def _exclusions(matcher: Matcher) -> Finding:
    from matcher.rules import unknown_exclusions

    unknown = [
        f"{need.id} → {name}"
        for need in matcher.needs.values()
        for name in unknown_exclusions(need, matcher.labs.values())
    ]
    if not unknown:
        return Finding("exclusions", ("需求排除的實驗室皆存在", "every lab that a need excludes exists"))
    listed = ", ".join(unknown[:_SHOWN]) + (" ..." if len(unknown) > _SHOWN else "")
    found = (f"需求排除了不存在的實驗室：{listed}", f"needs exclude labs that do not exist: {listed}")
    remedy = (
        "更正 excluded_labs 的代號後重新匯入，否則該實驗室可能被推薦",
        "correct the ids in excluded_labs and import again; otherwise the lab that was meant may be proposed",
    )
    return Finding("exclusions", found, Level.PROBLEM, remedy, {"unknown": unknown})
