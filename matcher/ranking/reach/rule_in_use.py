"""The rule of reach that a home has in use: one small file, so that every answer of a day goes by the same figures.

In: the rule as the programme office set it, with what was seen of the schools until that day. Out: the file
`GLORIA_HOME/reach.json`, and the rule that whoever ranks finds there; without the file, or where it can't be read,
nothing is moved. It exists apart from the counting because that asks the database for months of proposals, while a
ranking must cost no question; and because a ranking of today must not change with each look at another one.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path

import orjson

from indexer.disk import write_whole
from indexer.settings import Settings
from matcher.ranking.reach.seen_less import Reach, Rule

FILE = "reach.json"
_log = logging.getLogger(__name__)


def rule_path(settings: Settings) -> Path:
    """Return where the rule in use stands."""
    return settings.home / FILE


def put_in_use(settings: Settings, rule: Rule | None) -> None:
    """Put a rule in use; None, or one without a floor, takes away the one before.

    Raises:
        OSError: the disk is full or not writable.
    """
    path = rule_path(settings)
    if rule is None or not rule.floor:
        path.unlink(missing_ok=True)
        return
    content = {**asdict(rule), "known": sorted(rule.known)}
    write_whole(path, orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))


def stamp_of(settings: Settings) -> int:
    """Return what changes whenever another rule is put in use; 0 where none is."""
    try:
        return rule_path(settings).stat().st_mtime_ns
    except OSError:
        return 0


def rule_in_use(settings: Settings) -> Rule | None:
    """Return the rule in use; None where none is, or where its file is damaged: then nobody is moved by guess."""
    try:
        content = orjson.loads(rule_path(settings).read_bytes())
        return Rule(
            floor=float(content["floor"]),
            tolerance=float(content["tolerance"]),
            known=frozenset(map(str, content["known"])),
            of_known=Reach(float(content["of_known"]["seen"]), float(content["of_known"]["deserved"])),
            of_others=Reach(float(content["of_others"]["seen"]), float(content["of_others"]["deserved"])),
            depth=int(content["depth"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        _log.warning("the rule of reach can't be read, nobody is moved by it: %s", type(error).__name__)
        return None
