"""The generations of the index that are kept, and which of them answers.

In: nothing. Out: each generation by its manifest. It exists so that whoever
watches over the night's work sees what it left, without a shell on the machine.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session

from api.answers import Page
from api.asking import Asking, asking
from api.idempotency import Reply
from api.job_answers import GenerationAnswer
from api.policy import Action, Resource
from api.request_threads import ThreadedRoute
from indexer.generation import Listed, generations
from matcher.people import Principal

router = APIRouter(prefix="/api", tags=["operation"], route_class=ThreadedRoute)


@router.get("/generations", response_model=Page[GenerationAnswer])
def list_generations(ask: Annotated[Asking, Depends(asking(Resource.GENERATION, Action.LIST))]) -> Response:
    """List the generations that are kept, the newest first; `serving` is the one that this server's answers rest on."""
    state = ask.request.app.state

    def work(_session: Session, _who: Principal) -> Reply:
        serving = state.live.state().on_disk
        items = [_document(one, serving) for one in generations(state.home / "index")]
        return Reply(200, {"items": items, "next": None}, {})

    return ask.read(work)


def _document(one: Listed, serving: str | None) -> dict[str, Any]:
    manifest = one.manifest
    known: dict[str, Any] = {"created_at": None, "labs": None, "encoders": None, "size_bytes": None}
    if manifest is not None:
        known = {
            "created_at": manifest["created_at"],
            "labs": manifest["counts"]["labs"],
            "encoders": [encoder["name"] for encoder in manifest["encoders"]],
            "size_bytes": sum(file["bytes"] for file in manifest["files"].values()),
        }
    return {
        "name": one.name,
        "current": one.is_current,
        "serving": one.name == serving,
        "damaged": manifest is None,
        "held": one.held,
        **known,
    }
