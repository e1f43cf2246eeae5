"""The programme's rules and values: read by everybody who is judged by them, changed by the programme office.

In: a document's name; from the office what it says from now on, and why. Out:
the document that holds, with its version, author, date and reason.
"""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Response
from sqlmodel import Session

from api.answers import Page
from api.asking import Asking, asking, etag_of
from api.idempotency import Reply
from api.policy import Action, Resource
from api.problems import not_found
from api.request_threads import ThreadedRoute
from api.standing_answers import ConfigurationAnswer, ConfigurationNameAnswer
from api.standing_bodies import ConfigurationBody
from matcher.ledger.configurable import DOCUMENTS, checked_document
from matcher.ledger.configuration import Configured, change, default, latest
from matcher.people import Principal

router = APIRouter(prefix="/api/configuration", tags=["configuration"], route_class=ThreadedRoute)

DocumentName = Annotated[str, Path(max_length=100)]


@router.get("", response_model=Page[ConfigurationNameAnswer])
def list_configuration(ask: Annotated[Asking, Depends(asking(Resource.CONFIGURATION, Action.LIST))]) -> Response:
    """List the documents of rules and values with their current versions."""

    def work(session: Session, _who: Principal) -> Reply:
        return Reply(200, {"items": [_head(session, name) for name in sorted(DOCUMENTS)], "next": None}, {})

    return ask.read(work)


@router.get("/{configuration_name}", response_model=ConfigurationAnswer)
def read_configuration(
    configuration_name: DocumentName, ask: Annotated[Asking, Depends(asking(Resource.CONFIGURATION, Action.READ))]
) -> Response:
    """Read a document, who set it, when and why; its ETag is what a change sends as If-Match."""

    def work(session: Session, _who: Principal) -> Reply:
        return _answer(session, _kind(configuration_name))

    return ask.read(work)


@router.put("/{configuration_name}", response_model=ConfigurationAnswer)
def set_configuration(
    configuration_name: DocumentName,
    body: ConfigurationBody,
    ask: Annotated[Asking, Depends(asking(Resource.CONFIGURATION, Action.EDIT))],
) -> Response:
    """Set a document as a whole; it holds from now on, and what held before stays on record.

    Send the ETag that you read as If-Match.
    """

    def work(session: Session, who: Principal) -> Reply:
        kind = _kind(configuration_name)
        ask.must_match(_etag(session, kind.name))
        change(session, checked_document(kind, body.document), reason=body.reason, by=who.id, now=ask.at)
        return _answer(session, kind)

    return ask.write(work, body)


def _kind(name: str) -> type[Configured]:
    if name not in DOCUMENTS:
        raise not_found("document")
    return DOCUMENTS[name]


def _head(session: Session, name: str) -> dict[str, Any]:
    stored = latest(session, name)
    known = {"version": 0, "reason": None, "by": None, "at": None}
    if stored is not None:
        known = stored.model_dump(mode="json", include=set(known))
    return {"name": name, **known, "href": f"/api/configuration/{name}"}


def _etag(session: Session, name: str) -> str:
    return etag_of(_head(session, name))


def _answer(session: Session, kind: type[Configured]) -> Reply:
    stored = latest(session, kind.name)
    document = orjson.loads(default(kind).model_dump_json()) if stored is None else stored.document
    return Reply(200, {**_head(session, kind.name), "document": document}, {"ETag": _etag(session, kind.name)})
