"""How old an index may be before everybody who relies on it is told.

In: when it was built. Out: whether it should have been renewed since. It exists once, so that pages, answers to
programs and the watch over the service say the same.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

OLD_AFTER = timedelta(hours=48)
"""An index that was not renewed for so long has missed two nights."""


def is_old(created_at: datetime | str) -> bool:
    """Whether an index built then, a moment or one in ISO 8601, should have been renewed since."""
    built_at = datetime.fromisoformat(created_at) if isinstance(created_at, str) else created_at
    return datetime.now(UTC) - built_at > OLD_AFTER
