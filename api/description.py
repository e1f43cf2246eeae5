"""What the API's description says of every route alike: proof, refusals, headers, examples.

In: the document as made from the routes, and each route's permission. Out: the
same document, completed. It exists so that no route has to repeat what the
server does for all of them, and none can be described otherwise than it works.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from api.asking import COOKIE, SAFE_METHODS
from api.idempotency import MAX_KEY
from api.policy import Action, Resource
from api.problems import MEDIA_TYPE, Problem

_REFUSED = {"schema": {"$ref": "#/components/schemas/Problem"}}
_PROOFS = {
    "key": {"type": "http", "scheme": "bearer", "description": "A key of a program (`gloria user key`)."},
    "browser": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "Signed in with `POST /api/session`; changing requests also send X-CSRF-Token.",
    },
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same request sent again with the same key is carried out once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
    "example": "2f1c7a5e-0d1b-4c3e-9a55-6b1f6f0f7f10",
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The ETag that you read: 428 without, 412 if somebody else edited in the meantime.",
    "schema": {"type": "string", "pattern": "^[!-~]+$"},
    "example": "*",
}
_EXAMPLES: dict[str, Any] = {
    "need_id": "need-1-01",
    "lab_id": "lab-1-01",
    "company_id": "co-1-1",
    "pairing_id": 1,
    "case_id": 1,
    "alliance_id": "al-01",
    "configuration_name": "points",
}
"""What a path may name, from the demo world."""


def complete(document: dict[str, Any], permissions: Iterable[tuple[str, str, Any]]) -> None:
    """Add to a description what holds for every route.

    Args:
        document: the OpenAPI document as made from the routes; changed in place.
        permissions: method, path and permission (None if everybody may) of every route.
    """
    components = document.setdefault("components", {})
    components["securitySchemes"] = _PROOFS
    components.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
    for method, path, permission in permissions:
        operation = document["paths"].get(path, {}).get(method.lower())
        if operation is not None:
            _complete(operation, method, permission)


def _complete(operation: dict[str, Any], method: str, permission: Any) -> None:
    responses = operation["responses"]
    responses["4XX"] = {"description": "Refused, with the reason.", "content": {MEDIA_TYPE: _REFUSED}}
    later = {"description": "Not now; Retry-After says when.", "content": {MEDIA_TYPE: _REFUSED}}
    responses.setdefault("503", later)
    if method not in SAFE_METHODS or permission == (Resource.MATCH, Action.READ):
        full = {"description": "The disk is full; nothing was stored.", "content": {MEDIA_TYPE: _REFUSED}}
        responses.setdefault("507", full)
    given = operation.get("parameters", [])
    for parameter in given:
        if parameter["name"] in _EXAMPLES:
            parameter.setdefault("example", _EXAMPLES[parameter["name"]])
    if permission is None:
        return
    operation["security"] = [{name: []} for name in _PROOFS]
    if method not in SAFE_METHODS:
        given = [*given, _IDEMPOTENCY_KEY]
    if method == "PATCH" or permission == (Resource.CONFIGURATION, Action.EDIT):
        given = [*given, _IF_MATCH]
    if given:
        operation["parameters"] = given
