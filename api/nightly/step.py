"""What a step of the night is given, and what it gives back.

In: nothing. Out: `StepWork`, the night as one step sees it, and `StepOutcome`, what the step came to. It exists so
that each step is a function that knows nothing of the others: the table of steps says what depends on what, the
runner keeps the state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from api.trail.nights import Night, Said, StepState, night_path
from indexer.instants import day_in_taipei
from indexer.settings import Settings

Tell = Callable[[str, int, int], None]
"""Called with a stage's name, how much of it is done, and how much there is."""
MOST_LISTED = 200
"""So many items are listed in a report; what is left out is counted."""


@dataclass(frozen=True)
class StepOutcome:
    """What a step came to: figures (counts, seconds), what else the report says, a sentence, and how it ended."""

    figures: Mapping[str, Any] = field(default_factory=dict)
    message: Said | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    state: StepState = StepState.DONE


@dataclass(frozen=True)
class StepWork:
    """The night as a step sees it; `night` has what the steps before came to."""

    settings: Settings
    night: Night
    now: datetime
    tell: Tell

    @property
    def today(self) -> date:
        """The day in Taipei on which the step is carried out."""
        return day_in_taipei(self.now)

    @property
    def folder(self) -> Path:
        """The folder of this night."""
        return night_path(self.settings.home, self.night.id)


Run = Callable[[StepWork], StepOutcome]
"""Carries out a step; it must be safe to repeat, since a step that was cut off is begun again."""
