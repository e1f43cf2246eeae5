"""What of a request belongs into the audit trail: who asked, what was looked at, which records that was about.

In: a request on its way through its steps. Out: acts of the trail. It exists so that no route has to say what is to
be written down: who asks and under which permission is known where everybody is admitted, the records are those that
the address names and the answer shows. A page asks several routes and is one view, of all that they showed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from fastapi import Request

from api.access.policy import Action, Resource, rights_of
from api.trail.audit_trail import Act, How, Outcome, Subject
from matcher.review.people import Principal

NAMED: dict[str, str | None] = {
    "account_id": "account",
    "alliance_id": "alliance",
    "attachment_id": "attachment",
    "case_id": "case",
    "claim_id": "claim",
    "company_id": "company",
    "configuration_name": "configuration",
    "draft_id": "draft",
    "entry_id": "entry",
    "grant_id": "grant",
    "import_id": None,
    "job_id": "job",
    "judged_pair_id": None,
    "judging_id": "judging",
    "key_prefix": "key",
    "kind": None,
    "kpi": "kpi",
    "lab_id": "lab",
    "merge_id": None,
    "meeting_id": "meeting",
    "link_id": "shortlist_link",
    # An address names a person, who may be erased; the trail never forgets.
    "mail_address": None,
    "mapping_name": None,
    "money_row_id": "money_row",
    "motion_id": "motion",
    "name": "report",
    "need_id": "need",
    "night_id": None,
    "notice_id": "notice",
    "pairing_id": "pairing",
    "period": "period",
    "plan_id": None,
    "point_row_id": "point_row",
    "prefix": "key",
    "question_id": None,
    "record_id": None,
    "request_id": "client_request",
    "school_id": "school",
    "subject": None,
    "task": None,
    "handed": None,
    "view_id": None,
    "session_id": None,
    "visit_id": None,
    "word_id": None,
    "sha256": "evidence",
    "shortlist_id": "shortlist",
    "stake_id": "stake",
    "step": None,
    "webhook_host": None,
    "webhook_id": "webhook",
}
"""The kind of record that each name in an address stands for; None names no record."""
_IDS: dict[Resource, tuple[str, tuple[Action, ...]]] = {
    Resource.NEED: ("need", ()),
    Resource.PAIRING: ("pairing", (Action.READ,)),
    Resource.SHORTLIST: ("shortlist", (Action.CREATE, Action.READ, Action.LIST, Action.EDIT)),
    Resource.ATTACHMENT: ("attachment", ()),
    Resource.CASE: ("case", (Action.READ, Action.LIST, Action.MOVE)),
    Resource.COMPANY: ("company", (Action.READ, Action.LIST, Action.TAKE_UP)),
    Resource.CLIENT_REQUEST: ("client_request", ()),
    Resource.ACCOUNT: ("account", ()),
    Resource.CLAIM: ("claim", ()),
    Resource.ENTRY: ("entry", ()),
    Resource.MOTION: ("motion", ()),
    Resource.PERIOD: ("motion", (Action.CLOSE,)),
    Resource.EXTERNAL_CLAIM: ("external_claim", ()),
    Resource.SCHOOL_TOTAL: ("school_total", ()),
    Resource.STAKE: ("stake", (Action.CREATE,)),
    Resource.LADDER: ("ladder_step", ()),
    Resource.MONTH: ("month_report", (Action.CREATE,)),
    Resource.MONEY_ROW: ("money_row", ()),
    Resource.POINT: ("point_row", (Action.CREATE, Action.REVERSE)),
    Resource.IMPORT: ("job", ()),
    Resource.MATCH: ("job", ()),
    Resource.JUDGING: ("judging", ()),
}
"""The kind of record whose `id` an answer under a permission gives, and for which actions if not for all."""
_LISTS = {"new_needs": "need", "needs_to_match": "need", "needs": "need", "pairings_to_review": "pairing"}
_SHOWN = {"need_id": "need", "pairing_id": "pairing", "case_id": "case", "entry_id": "entry", "account_id": "account"}
_MADE = {"prefix": "key", "sha256": "evidence", "pseudonym": "person"}
NOT_WATCHED = frozenset(
    {
        (Resource.LAB, Action.READ),
        (Resource.LAB, Action.LIST),
        (Resource.LAB_NAME, Action.LIST),
        (Resource.LOGO, Action.READ),
        (Resource.COMPANY_NAME, Action.LIST),
        (Resource.EXPERT, Action.LIST),
        (Resource.GENERATION, Action.LIST),
        (Resource.CONFIGURATION, Action.READ),
        (Resource.CONFIGURATION, Action.LIST),
        (Resource.JOB, Action.READ),
        (Resource.JOB, Action.LIST),
        (Resource.IMPORT_DRAFT, Action.READ),
        (Resource.IMPORT_DRAFT, Action.LIST),
        (Resource.PROFILE, Action.READ),
        (Resource.KEY, Action.LIST),
        (Resource.SESSION, Action.LIST),
        (Resource.SECOND_FACTOR, Action.READ),
        (Resource.CALENDAR, Action.READ),
    }
)
"""Views that are not kept: public profiles, names to choose from, open rules, states of work, what is one's own."""
REFUSALS = frozenset({403, 404, 409, 412})
"""Refusals that are kept: no right, foreign or not there, in conflict. Mistakes in forms and busy moments are not."""
_MAX_SUBJECT_ID = 200


class NeedReader(Protocol):
    """Whoever is shown what a need says.

    Every function that renders a need's own words, its title too, takes one and tells it of each need: so no way of
    answering can show a need without a note of it. To show one to nobody who is watched, say so: `MACHINE`, `APART`.
    """

    def reads(self, need_id: str, *, withheld: bool = False) -> None:
        """Note that a need is shown; `withheld`: without its text."""


class _Unwatched:
    def reads(self, need_id: str, *, withheld: bool = False) -> None:
        """Note nothing."""


MACHINE: NeedReader = _Unwatched()
"""Whoever runs the machine, who reads the database anyway; what a command hands out is noted by `note_command`."""
APART: NeedReader = _Unwatched()
"""What is only compared or hashed, or what a stream notes itself, page by page."""


@dataclass
class RequestTrail:
    """What is known of one request so far."""

    resource: Resource | None = None
    action: Action | None = None
    who: Principal | None = None
    key_id: int | None = None
    rights: str = ""
    watched: bool = False
    subjects: set[Subject] = field(default_factory=set)
    refused: list[Act] = field(default_factory=list)
    changed: set[Subject] = field(default_factory=set)
    stored: int = 0

    def admits(self, who: Principal, key_id: int | None, resource: Resource, action: Action) -> None:
        """Note who asks, and for what: of a page its own permission, which comes first."""
        if self.resource is None:
            self.resource, self.action = resource, action
            self.who, self.key_id = who, key_id
            self.rights = rights_of(who, resource, action)
        self.watched = self.watched or (resource, action) not in NOT_WATCHED

    def act(self, request: Request, at: datetime, *, outcome: Outcome, status: int, subjects: Iterable[Subject]) -> Act:
        """Return an act of this request under its own permission."""
        return Act(
            at=at,
            account_id=None if self.who is None else self.who.id,
            key_id=self.key_id,
            rights=self.rights,
            resource=str(self.resource),
            action=str(self.action),
            how=how_of(request),
            method=request.method,
            operation=operation_of(request),
            outcome=outcome,
            status=status,
            request_id=request_id_of(request),
            subjects=tuple(subjects),
        )


def trail_of(request: Request) -> RequestTrail:
    """Return what is known of a request."""
    state = request.scope.setdefault("state", {})
    trail = state.get("trail")
    if trail is None:
        trail = state["trail"] = RequestTrail()
    return trail  # type: ignore[no-any-return]


def how_of(request: Request) -> How:
    """Return whether a program or a page asks."""
    return How.API if request.scope["path"].startswith("/api/") else How.PAGE


def operation_of(request: Request) -> str:
    """Return the name of the route that answers."""
    return str(getattr(request.scope.get("route"), "name", ""))


def request_id_of(request: Request) -> str | None:
    """Return the id under which the request stands in the log."""
    found: str | None = request.scope.get("state", {}).get("request_id")
    return found


def subjects_named(values: Mapping[str, Any], resource: Resource | None = None) -> set[Subject]:
    """Return the records that an address names."""
    found = set()
    for name, value in values.items():
        kind = NAMED.get(name)
        if kind == "claim" and resource is Resource.EXTERNAL_CLAIM:
            kind = "external_claim"
        if kind is not None and isinstance(value, str | int) and 0 < len(str(value)) <= _MAX_SUBJECT_ID:
            found.add(Subject(kind, str(value)))
    return found


def subjects_shown(resource: Resource, action: Action, document: Any) -> set[Subject]:
    """Return the records that an answer shows: itself, what its lists hold, and the needs and cases they hang on."""
    # Of the trail itself only is kept that it was read: the accounts in it are everybody's.
    if not isinstance(document, dict) or resource is Resource.AUDIT:
        return set()
    own, actions = _IDS.get(resource, (None, ()))
    if actions and action not in actions:
        own = None
    found = _subjects_of(document, own)
    found |= {Subject(kind, str(document[name])) for name, kind in _MADE.items() if isinstance(document.get(name), str)}
    for name, items in document.items():
        if isinstance(items, list):
            for item in items:
                if isinstance(item, dict):
                    found |= _subjects_of(item, own if name == "items" else _LISTS.get(name))
    if resource is Resource.MATCH:
        # Who was shown which pairing is kept in full as its proposals.
        found = {one for one in found if one.kind != "pairing"}
    return found


def _subjects_of(item: Mapping[str, Any], kind: str | None) -> set[Subject]:
    withheld = item.get("redacted") is True
    found = {
        Subject(of, str(item[name]), withheld and of == "need")
        for name, of in _SHOWN.items()
        if isinstance(item.get(name), str | int)
    }
    number = item.get("id")
    if kind is not None and isinstance(number, str | int):
        found.add(Subject(kind, str(number), withheld))
    return found
