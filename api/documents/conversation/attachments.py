"""What clients are told of files that hang on needs and conversations.

In: rows, and who reads them. Out: documents, and models for the description of the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from api.documents.answers import Answer
from matcher.review.conversation.attachments import Attachment
from matcher.review.conversation.thread import Audience, Side


class AttachmentAnswer(Answer):
    """A file that hangs on a need, or on a conversation about it; `can_remove` by whoever asks."""

    id: int
    need_id: str
    pairing_id: int | None
    meeting_id: int | None
    audience: Audience | None
    side: Side
    name: str
    size_bytes: int
    sender: str | None
    at: datetime
    can_remove: bool


def attachment_document(row: Attachment, names: Mapping[str, str], *, can_remove: bool) -> dict[str, Any]:
    """Return the document of a file; `names` are those of the senders by account."""
    return {
        "id": row.id,
        "need_id": row.need_id,
        "pairing_id": row.pairing_id,
        "meeting_id": row.meeting_id,
        "audience": row.audience,
        "side": row.side,
        "name": row.name,
        "size_bytes": row.size_bytes,
        "sender": names.get(row.by),
        "at": row.at.isoformat(),
        "can_remove": can_remove,
    }
