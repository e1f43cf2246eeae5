"""How a figure has gone: a sentence and a small drawing of its years, and who brought most of it.

In: a figure by year, its targets, and what each alliance brought. Out: words in the reader's language, an SVG of bars
without words, and a table in order of what was brought. It exists because a dashboard is first read for whether things
rise or fall and who stands where; every number is said again in the tables of the same page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from markupsafe import Markup

from api.pages.shell.wording import N_, Wording

_STEP, _HIGH, _WIDE = 14, 28, 10
_LEAST = 1.5
"""A year with little has a bar that can still be seen."""


@dataclass(frozen=True)
class LeaguePlace:
    """An alliance's place: what it brought, its part of the whole, and how long its bar is of a hundred."""

    place: int
    alliance: str
    name: str
    brought: float
    share: float
    length: float


def trend_words(
    wording: Wording,
    said: Callable[[float], str],
    *,
    as_of: date,
    year: int | None,
    in_year: dict[int, float],
    target: tuple[float, float] | None,
) -> str:
    """Return in a sentence or two whether a figure rose, and how far it is to its target.

    Args:
        wording: the reader's language.
        said: writes an amount of this figure.
        as_of: the day of the figures; a year that is not over is compared as such.
        year: the shown year, None for the whole programme.
        in_year: the figure of each year.
        target: what the first book counts, and what it asks for.
    """
    parts = []
    if year is not None and year - 1 in in_year:
        now, before = in_year.get(year, 0), in_year[year - 1]
        if as_of < date(year, 12, 31):
            parts.append(wording.text(N_("The year is not over; the whole year before had %(before)s.")))
        elif now == before:
            parts.append(wording.text(N_("As much as the year before.")))
        elif now > before:
            parts.append(wording.text(N_("%(more)s more than the year before.")))
        else:
            parts.append(wording.text(N_("%(less)s less than the year before.")))
        amounts = {"before": said(before), "more": said(now - before), "less": said(before - now)}
        parts[-1] %= amounts
    if target is not None and target[1]:
        share = wording.percent(target[0] / target[1])
        parts.append(wording.text(N_("%(share)s of the target.")) % {"share": share})
    return "".join(parts) if wording.lang.value != "en" else " ".join(parts)


def spark(amounts: Sequence[float], chosen: int | None) -> Markup:
    """Return the years as bars, the chosen one in full colour; nothing where no year has anything."""
    most = max(amounts, default=0)
    if most <= 0:
        return Markup()
    bars = []
    for place, amount in enumerate(amounts):
        high = max(_LEAST, max(amount, 0) / most * _HIGH)
        name = ' class="now"' if place == chosen else ""
        bars.append(
            Markup('<rect{} x="{}" y="{:.1f}" width="{}" height="{:.1f}" rx="1.5"/>').format(
                Markup(name),  # noqa: S704 (one of two texts of ours)
                place * _STEP,
                _HIGH - high,
                _WIDE,
                high,
            )
        )
    width = len(amounts) * _STEP - (_STEP - _WIDE)
    return Markup('<svg class="spark" viewBox="0 0 {} {}" width="{}" height="{}" aria-hidden="true">{}</svg>').format(
        width, _HIGH, width, _HIGH, Markup().join(bars)
    )


def league(shares: Sequence[dict[str, Any]], kpi: str) -> list[LeaguePlace]:
    """Return the alliances in order of what they brought of a figure; who brought as much shares a place."""
    brought = [(one["parts"].get(kpi, 0), one) for one in shares]
    ordered = sorted(brought, key=lambda one: -one[0])
    most = max((amount for amount, _ in brought), default=0)
    whole = sum(amount for amount, _ in brought)
    if most <= 0:
        return []
    return [
        LeaguePlace(
            place=1 + sum(other > amount for other, _ in brought),
            alliance=one["alliance"],
            name=one["name"],
            brought=amount,
            share=amount / whole if whole else 0.0,
            length=round(max(amount, 0) / most * 100, 1),
        )
        for amount, one in ordered
    ]
