"""What a request leaves in the audit trail, step by step.

In: a request under one permission. Out: rows of the trail for what it changed, and what it was about for the view that
is noted when it is over. It exists as the ground under `asking`, so that reading and changing can't do without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from fastapi import Request
from sqlmodel import Session

from api.audit_trail import Act, Outcome, Subject, write_down
from api.audited import REFUSALS, operation_of, subjects_named, subjects_shown, trail_of
from api.policy import Action, Resource, rights_of
from api.problems import refusal_of
from indexer.instants import now
from matcher.people import Principal


@dataclass(frozen=True)
class Noting:
    """A request under one permission; `at` is the moment that everything it does is dated with."""

    request: Request
    resource: Resource
    action: Action
    at: datetime = field(default_factory=now)
    related: set[Subject] = field(default_factory=set)

    def about(self, kind: str, *ids: object) -> None:
        """Say which records this is about, beside those that the address names and the answer shows."""
        self.related.update(Subject(kind, str(one)) for one in ids)

    def shown(self, subjects: Iterable[Subject]) -> None:
        """Put a part of a long answer into the trail now, before the rest of it is read."""
        trail = trail_of(self.request)
        act = trail.act(self.request, self.at, outcome=Outcome.SEEN, status=200, subjects=subjects)
        self.request.app.state.views.put(act)
        trail.stored += 1

    def named(self) -> set[Subject]:
        """Return the records that the address names."""
        return subjects_named(self.request.path_params, self.resource)

    def operation(self) -> str:
        """Return the name of the route that is asked."""
        return operation_of(self.request)

    def note_view(self, document: Any) -> None:
        """Note what an answer shows; it is put into the trail when the request is over."""
        trail_of(self.request).subjects |= self._subjects(document)

    def note_change(self, session: Session, who: Principal, document: Any, status: int, *, repeated: bool) -> Act:
        """Write down what was done, in its own transaction and as the last thing of it."""
        act = self._act(who, Outcome.REPEATED if repeated else Outcome.DONE, status, self._subjects(document))
        write_down(session, [act])
        return act

    def note_stored(self, act: Act) -> None:
        """Note that a change is committed: the request needs no other row for the same."""
        trail = trail_of(self.request)
        trail.stored += 1
        trail.changed |= set(act.subjects)

    def note_refused(self, error: Exception) -> None:
        """Keep a change that was refused to somebody who is known; it is stored beside the views."""
        trail, status = trail_of(self.request), refusal_of(error).status
        if trail.who is not None and status in REFUSALS:
            trail.refused.append(self._act(trail.who, Outcome.REFUSED, status, self.named() | self.related))

    def _subjects(self, document: Any) -> set[Subject]:
        return self.named() | self.related | subjects_shown(self.resource, self.action, document)

    def _act(self, who: Principal, outcome: Outcome, status: int, subjects: Iterable[Subject]) -> Act:
        act = trail_of(self.request).act(self.request, self.at, outcome=outcome, status=status, subjects=subjects)
        return replace(
            act,
            resource=self.resource.value,
            action=self.action.value,
            rights=rights_of(who, self.resource, self.action),
            operation=self.operation(),
        )
