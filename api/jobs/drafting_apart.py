"""Making a draft of a document in a process of its own, so that no letter takes anything from those who wait.

In: the bytes of a document, its name, whether it is of a need or of a lab, the day on which it came. Out: the draft.
It exists because documents of strangers unfold into anything, and patterns over prose may try very long: a process has
bounds of memory and time, and can be ended. Run as a program it is that process: the document comes on its standard
input, the draft goes out as JSON.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from typing import Any

import orjson

from api.jobs.bounds import bound
from indexer.sources.drafts.documents import DocumentError, text_of
from indexer.sources.drafts.needs import draft_need
from indexer.sources.drafts.passages import Draft
from indexer.sources.drafts.researchers import draft_lab
from indexer.vocabulary import Drafted
from indexer.wording import T_, recognised

WITHIN_S = 40.0
CPU_S = 20
MOST_BYTES = 2**30


def drafted(content: bytes, name: str, kind: Drafted, received: date) -> dict[str, Any]:
    """Return the draft of a document: its text, its fields with their passages, its notes.

    Args:
        content: the document, or a text in UTF-8.
        name: what it is called.
        kind: what it is a draft of.
        received: the day on which it came.

    Raises:
        DocumentError: it can't be read, or takes too long or too much memory.
    """
    arguments = [sys.executable, "-m", "api.jobs.drafting_apart", name, kind.value, received.isoformat()]
    try:
        done = subprocess.run(  # noqa: S603 (our own program)
            arguments, input=content, capture_output=True, timeout=WITHIN_S, process_group=0, check=False
        )
        answer = orjson.loads(done.stdout)
    except (subprocess.TimeoutExpired, orjson.JSONDecodeError):
        raise DocumentError(
            T_("takes too long or too much memory to read"), T_("paste the part of the text that is about it")
        ) from None
    if "wrong" in answer:
        raise DocumentError(recognised(answer["wrong"]), recognised(answer["right"]))
    found: dict[str, Any] = answer
    return found


def draft_document(draft: Draft, kind: Drafted) -> dict[str, Any]:
    """Return a draft as the API answers it; places count characters of `text` from 0."""
    return {
        "kind": kind.value,
        "text": draft.text,
        "fields": [
            {
                "name": one.name,
                "value": one.value,
                "passages": [
                    {"start": place.start, "end": place.end, "text": place.of(draft.text)} for place in one.passages
                ],
            }
            for one in draft.fields
        ],
        "notes": [str(note) for note in draft.notes],
    }


def values_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a draft without their passages."""
    return {one["name"]: one["value"] for one in document["fields"]}


def _main(name: str, kind: str, received: str) -> None:
    bound(CPU_S, MOST_BYTES)
    try:
        text = text_of(sys.stdin.buffer.read(), name)
        what = Drafted(kind)
        draft = draft_need(text, received=date.fromisoformat(received)) if what is Drafted.NEED else draft_lab(text)
        answer = draft_document(draft, what)
    except DocumentError as error:
        answer = {"wrong": str(error.wrong), "right": str(error.right)}
    sys.stdout.buffer.write(orjson.dumps(answer))


if __name__ == "__main__":
    _main(*sys.argv[1:])
