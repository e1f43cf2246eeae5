"""Configuration that is data: target books, points, warning rules and the rest, read and set as whole documents.

In: the programme office. Out: a document in force with its version, and the
form that replaces it with a reason. A document is edited as the text that it is
stored as, because its shape is the programme's and not the page's; what is
wrong with it is told by the field that the rules name.
"""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Response

from api.pages.visiting import Visit, visiting
from api.pages.wording import N_
from api.policy import Action, Resource
from api.problems import ProblemError, Refusal
from api.request_threads import ThreadedRoute
from api.routes.configuration import list_configuration, read_configuration, set_configuration
from api.standing_bodies import ConfigurationBody
from indexer.wording import T_

router = APIRouter(prefix="/admin/configuration", include_in_schema=False, route_class=ThreadedRoute)

_WHAT = {
    "alliance_targets": N_("What each alliance is to reach."),
    "forecast": N_("How the forecast is made and how sure it must be."),
    "gender": N_("Which gap asks for an analysis, and which counts are too small to publish."),
    "money_definitions": N_("Which money counts, under each reading of the plan."),
    "points": N_("What activities of faculty and staff are worth, and the share that is paid out."),
    "recognition": N_("What a result needs to be recognised, and when two people must decide."),
    "subsidy_path": N_("How the subsidy steps down year by year."),
    "target_books": N_("The plan's targets, every reading of it."),
    "warning_rules": N_("When an alliance's pace asks for a warning."),
}


@router.get("")
def show_documents(visit: Annotated[Visit, Depends(visiting(Resource.CONFIGURATION, Action.LIST))]) -> Response:
    """Show which documents there are, and what each decides."""
    return visit.show("admin/configuration.html", documents=visit.document(list_configuration)["items"], what=_WHAT)


@router.get("/{configuration_name}")
def show_document(
    configuration_name: str, visit: Annotated[Visit, Depends(visiting(Resource.CONFIGURATION, Action.READ))]
) -> Response:
    """Show a document that is in force."""
    return _page(visit, configuration_name)


def _page(visit: Visit, name: str, refused: Refusal | None = None, reason: str = "", text: str = "") -> Response:
    reply = visit.reply(read_configuration, configuration_name=name)
    stored = orjson.dumps(reply.document["document"], option=orjson.OPT_INDENT_2).decode()
    return visit.show(
        "admin/configuration_document.html",
        refused.status if refused else 200,
        document=reply.document,
        what=_WHAT.get(name, ""),
        etag=reply.headers["ETag"],
        text=text or stored,
        reason=reason,
        refused=refused,
    )


@router.post("/{configuration_name}")
def change_document(
    configuration_name: str, visit: Annotated[Visit, Depends(visiting(Resource.CONFIGURATION, Action.EDIT))]
) -> Response:
    """Set a document as a whole, for a reason."""
    text, reason = str(visit.form.get("document", "")), str(visit.form.get("reason", ""))

    def work() -> Any:
        body = visit.body(ConfigurationBody, {"document": _parsed(text), "reason": reason})
        return visit.document(set_configuration, configuration_name=configuration_name, body=body)

    refused = visit.attempt(work)
    if isinstance(refused, Refusal):
        return _page(visit, configuration_name, refused, reason, text)
    return visit.go(f"/admin/configuration/{configuration_name}", N_("The document is in force from now on."))


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ProblemError(
            422, "invalid", T_("not JSON: %(msg)s in line %(lineno)s", msg=error.msg, lineno=error.lineno), "document"
        ) from error
