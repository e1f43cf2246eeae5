"""One request, one transaction: who asks, may they, was it asked before, then the work, then the commit.

In: a request and the work that an endpoint wants done. Out: the response, made only after the commit, and in the
audit trail what the request changed and what it was about. It exists so that no route can forget a step: a route
requires a permission for one resource and action, gets a `PermittedRequest`, and its work runs inside; reading and
changing can't do without leaving their trace. Who asks is read in the same transaction, so that a withdrawn role
bites at once.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest
from typing import Any

import orjson
from fastapi import Request, Response
from pydantic import BaseModel
from sqlalchemy import Engine
from sqlmodel import Session

from api.access.credentials import Proof, is_confirmed, key_proof, note_seen, session_proof
from api.access.policy import BEFORE_SECOND_FACTOR, PERSON_ONLY, Action, Resource, admits, rights_of
from api.access.second_factor import is_bound
from api.requests.idempotency import MAX_KEY, KeyReusedError, Reply, earlier_reply, keep_reply, request_hash
from api.requests.one_state import state_of
from api.requests.problems import REFUSED, ProblemError, UnconfirmedError, forbidden, refusal_of, unauthenticated
from api.trail.audit_trail import TOLD_STATUS, Act, Outcome, Subject, write_down
from api.trail.request_trail import REFUSALS, operation_of, subjects_named, subjects_shown, trail_of
from indexer.database import LowRoomError, reading, writing
from indexer.disk import DiskReserve
from indexer.instants import now
from indexer.wording import T_
from matcher.review.people import Principal, principal


@dataclass(frozen=True)
class AuditedRequest:
    """A request under one permission; `at` is the moment that everything it does is dated with."""

    request: Request
    resource: Resource
    action: Action
    at: datetime = field(default_factory=now)
    related: set[Subject] = field(default_factory=set)

    def about(self, kind: str, *ids: object) -> None:
        """Say which records this is about, beside those that the address names and the answer shows."""
        self.related.update(Subject(kind, str(one)) for one in ids)

    def reads(self, need_id: str, *, withheld: bool = False) -> None:
        """Note that a need is shown to whoever asks; see `NeedReader`."""
        self.related.add(Subject("need", need_id, withheld))
        trail = trail_of(self.request)
        # Whatever the permission is for: where a need is shown, it is kept that it was.
        trail.watched = True
        if self.request.method in SAFE_METHODS:
            trail.subjects.add(Subject("need", need_id, withheld))

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
        if isinstance(error, UnconfirmedError):
            # Asked for the password, nobody was refused anything.
            return
        trail, status = trail_of(self.request), refusal_of(error).status
        if trail.who is not None and status in REFUSALS:
            tells_of: tuple[str, str] | None = getattr(error, "tells_of", None)
            told = set() if tells_of is None else {Subject(*tells_of)}
            trail.refused.append(self._act(trail.who, Outcome.REFUSED, status, self.named() | self.related | told))

    def note_told(self, who: Principal, subjects: Collection[Subject]) -> None:
        """Keep that a part of what was asked is refused in a way that tells that others' records are there."""
        if subjects:
            trail_of(self.request).refused.append(self._act(who, Outcome.REFUSED, TOLD_STATUS, subjects))

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


_RESERVED = frozenset(
    {
        *(Resource.ENTRY, Resource.MOTION, Resource.PERSON, Resource.SCHOOL_TOTAL, Resource.EXTERNAL_CLAIM),
        *(Resource.MONTH, Resource.PERIOD, Resource.LEDGER_HEAD, Resource.LADDER, Resource.MONEY_ROW, Resource.POINT),
        *(Resource.GENDER_FIGURE, Resource.PROGRAMME_GENDER, Resource.CONFIGURATION),
        *(Resource.ACCOUNT, Resource.PROFILE, Resource.KEY, Resource.STAKE, Resource.SESSION, Resource.SECOND_FACTOR),
    }
)
"""What may be stored on an almost full disk: the ledger, and who may do what, of which the end must always bite."""


def _may_use_the_reserve(resource: Resource, action: Action) -> bool:
    return resource in _RESERVED or action in (Action.CANCEL, Action.BREAK_GLASS)


COOKIE = "__Host-gloria"
_AWAITED = {
    "code": T_("give a code of your second factor first: POST /api/session/second-factor"),
    "enrol": T_("your role needs a second factor here; set it up first: POST /api/me/second-factor"),
}
SAFE_METHODS = ("GET", "HEAD")
_MINUTE_S = 60.0
_MOST_COUNTED = 10_000
_KNOWN = "gloria_known"


class RateLimiter:
    """Counts the requests of each principal in a moving minute, in this process."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._lock = threading.Lock()
        # At most `per_minute` moments for each account, oldest first.
        self._counted: defaultdict[str, deque[float]] = defaultdict(deque)

    def count(self, account_id: str) -> None:
        """Count one request.

        Raises:
            ProblemError: 429, with the seconds to wait.
        """
        at = time.monotonic()
        with self._lock:
            if len(self._counted) > _MOST_COUNTED:
                # Addresses, other than accounts, come without end.
                for name in [name for name, seen in self._counted.items() if not seen or seen[-1] <= at - _MINUTE_S]:
                    del self._counted[name]
            counted = self._counted[account_id]
            while counted and counted[0] <= at - _MINUTE_S:
                counted.popleft()
            if len(counted) < self._per_minute:
                counted.append(at)
                return
            wait_s = counted[0] + _MINUTE_S - at
        told = {"Retry-After": str(math.ceil(wait_s))}
        raise ProblemError(
            429,
            "rate-limit",
            T_("more than %(per_minute)s requests in a minute", per_minute=self._per_minute),
            None,
            told,
        )


Work = Callable[[Session, Principal], Reply]


@dataclass(frozen=True)
class PermittedRequest(AuditedRequest):
    """A request on its way through the steps; `at` is the moment that everything it does is dated with."""

    @property
    def engine(self) -> Engine:
        """The database of the application."""
        engine: Engine = self.request.app.state.engine
        return engine

    def read(self, work: Work) -> Response:
        """Do work that stores nothing."""
        with self.reading() as session:
            reply = work(session, self.admitted(session))
        return self.answered(reply)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Read from the database: in the state that the request sees, if it is one that asks several routes."""
        state = state_of(self.request)
        with reading(self.engine) if state is None else state.reading() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Write to the database."""
        state = state_of(self.request)
        with writing(self.engine) if state is None else state.writing() as session:
            yield session

    def let_go(self) -> None:
        """Hold nothing of the database, for work that takes long and writes afterwards."""
        state = state_of(self.request)
        if state is not None:
            state.let_go()

    def write(self, work: Work, body: BaseModel | bytes | None = None, *, once: bool = True) -> Response:
        """Do work that stores something, once for every `Idempotency-Key`; answer after the commit.

        That it was done goes into the audit trail in the same transaction: there is no change without its row.
        With `once` false no key is looked at: for bodies of which not even a hash may be stored.

        Raises:
            ProblemError: whatever the steps refuse.
        """
        if not _may_use_the_reserve(self.resource, self.action):
            self.must_leave_room()
        key = self._idempotency_key() if once else None
        try:
            with self.writing() as session:
                who = self.admitted(session)
                if self.request.state.csrf_token is not None:
                    note_seen(session, self.request.cookies[COOKIE], self.at)
                reply = work(session, who) if key is None else self._once(session, who, key, work, body)
                repeated = "Idempotent-Replay" in reply.headers
                done = self.note_change(session, who, reply.document, reply.status, repeated=repeated)
        except REFUSED as error:
            self.note_refused(error)
            raise
        self.note_stored(done)
        return self.answered(reply)

    def must_leave_room(self, more: int = 0, part: float = 1.0) -> None:
        """Let something be stored only if the disk's reserve, or a part of it, is left afterwards.

        Raises:
            LowRoomError: it isn't.
        """
        reserve: DiskReserve = self.request.app.state.reserve
        if not reserve.holds(more, part):
            raise LowRoomError(
                T_(
                    "the disk has less than %(kept_mb)s MB left, which are kept for signing in and the ledger: nothing "
                    "of this was stored",
                    kept_mb=reserve.kept_mb,
                )
            )

    def _once(self, session: Session, who: Principal, key: str, work: Work, body: BaseModel | bytes | None) -> Reply:
        content = body if isinstance(body, bytes) else b"" if body is None else body.model_dump_json().encode()
        url = self.request.url
        request = (self.request.method, url.path, url.query, content)
        try:
            earlier = earlier_reply(
                session, account_id=who.id, key=key, asked=request_hash(*request, rights=_rights(who))
            )
        except KeyReusedError as error:
            raise ProblemError(422, "key-reused", str(error), "Idempotency-Key") from error
        if earlier is not None:
            return Reply(earlier.status, earlier.document, {**earlier.headers, "Idempotent-Replay": "true"})
        reply = work(session, who)
        # The work itself may have changed what this person may see, by a declared interest.
        asked = request_hash(*request, rights=_rights(principal(session, who.id) or who))
        keep_reply(session, account_id=who.id, key=key, asked=asked, reply=reply, now=self.at)
        return reply

    def admitted(self, session: Session) -> Principal:
        """Return who asks, if they may do this to anything at all.

        Raises:
            ProblemError: 401 not signed in, 403 never allowed to this role or key, 429 too many requests.
        UnconfirmedError: 403, the person has to prove to be there first.
        """
        proof, who = self._recognised(session)
        self.request.state.principal_id = who.id
        self.request.state.csrf_token = proof.csrf_token
        self.request.app.state.threads.callers.note(self.request, who.id)
        self._count(who)
        trail_of(self.request).admits(who, proof.key_id, self.resource, self.action)
        self._check(proof, who)
        return who

    def still_admitted(self, session: Session) -> Principal:
        """Do as `admitted` for this moment, for an answer that takes long: the request was counted before.

        Raises:
            ProblemError: 401 no longer signed in, 403 no longer allowed.
        """
        proof, who = replace(self, at=now())._recognised(session)
        self._check(proof, who)
        return who

    def _count(self, who: Principal) -> None:
        self.request.app.state.limiter.count(who.id)

    def _recognised(self, session: Session) -> tuple[Proof, Principal]:
        # Within one transaction it stays the same, however many routes a page asks there.
        known: tuple[Proof, Principal] | None = session.info.get(_KNOWN)
        if known is None:
            proof = self._proof(session)
            who = None if proof is None else principal(session, proof.account_id)
            if proof is None or who is None:
                raise unauthenticated()
            known = session.info[_KNOWN] = proof, who
        if known[0].csrf_token is not None and self.request.method not in SAFE_METHODS:
            self._check_token(known[0])
        return known

    def _check(self, proof: Proof, who: Principal) -> None:
        awaited = self._awaited(proof, who)
        if awaited is not None and (self.resource, self.action) not in BEFORE_SECOND_FACTOR:
            raise ProblemError(403, "second-factor", _AWAITED[awaited])
        if self.request.method not in SAFE_METHODS and not proof.may_write:
            raise forbidden(T_("this key may only read"))
        if not admits(who, self.resource, self.action):
            raise forbidden(
                T_(
                    "none of your roles may %(action)s a %(resource)s",
                    action=self.action.replace("_", " "),
                    resource=self.resource.replace("_", " "),
                )
            )

        if self.request.method not in SAFE_METHODS and (self.resource, self.action) in PERSON_ONLY:
            if proof.csrf_token is None:
                raise forbidden(T_("a key never does this: a person has to, signed in"))
            if not is_confirmed(proof, self.at):
                raise UnconfirmedError(T_("confirm that it is you: give your password once more"))

    def awaits(self, session: Session) -> str | None:
        """Return what the session that asks has to show before it opens anything: `code`, `enrol` or nothing."""
        return self._awaited(*self._recognised(session))

    def _awaited(self, proof: Proof, who: Principal) -> str | None:
        # A key was made by whoever had shown it.
        if proof.csrf_token is None or proof.two_factors:
            return None
        if proof.awaits_code:
            return "code"
        return "enrol" if is_bound(who, self.request.app.state.bound_roles) else None

    def _proof(self, session: Session) -> Proof | None:
        return proof_of(session, self.request, self.at)

    def _check_token(self, proof: Proof) -> None:
        given = self.sent("X-CSRF-Token") or ""
        if not compare_digest(given.encode(), (proof.csrf_token or "").encode()):
            raise forbidden(T_("the header X-CSRF-Token must be the one given at sign-in"))

    def sent(self, header: str) -> str | None:
        """Return what the request says about itself in a header."""
        return self.request.headers.get(header)

    def _idempotency_key(self) -> str | None:
        key = self.sent("Idempotency-Key")
        if key is not None and not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
            raise ProblemError(
                422,
                "invalid",
                T_("give 1 to %(max_key)s printable ASCII characters", max_key=MAX_KEY),
                "Idempotency-Key",
            )
        return key

    def answered(self, reply: Reply) -> Response:
        """Return the response for a reply, and note what it shows: there is no other way to answer."""
        self.note_view(reply.document)
        return self._response(reply)

    def _response(self, reply: Reply) -> Response:
        headers = {"Cache-Control": "no-store", **reply.headers}
        document = {**reply.document, **reply.secret} if reply.secret else reply.document
        body = b"" if reply.status == 204 else orjson.dumps(document)
        return Response(body, reply.status, headers, None if reply.status == 204 else "application/json")

    def must_match(self, etag: str) -> None:
        """Let an edit through only if it is based on what is stored.

        Raises:
            ProblemError: 428 without If-Match, 412 if somebody else edited in the meantime.
        """
        given = self.sent("If-Match")
        if given is None:
            raise ProblemError(428, "precondition", T_("send the ETag that you read as If-Match"), "If-Match")
        if given.strip() not in ("*", etag):
            raise ProblemError(412, "stale", T_("it was changed in the meantime; read it again"), "If-Match")


def proof_of(session: Session, request: Request, at: datetime) -> Proof | None:
    """Return what a request's key or session proves, None if it has none that is good."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret:
        return key_proof(session, secret.strip(), at)
    token = request.cookies.get(COOKIE)
    return session_proof(session, token, at) if token else None


def _rights(who: Principal) -> list[list[str]]:
    return [*map(list, sorted(who.grants)), *map(list, sorted(who.stakes))]


def requires(resource: Resource, action: Action) -> Callable[[Request], Awaitable[PermittedRequest]]:
    """Return the dependency of a route: what it touches and what it does to it."""

    async def ask(request: Request) -> PermittedRequest:
        # Refused before anything of the request is looked at; whether it is genuine is found out in the transaction.
        if "Authorization" not in request.headers and COOKIE not in request.cookies:
            raise unauthenticated()
        return PermittedRequest(request, resource, action)

    ask.permission = (resource, action)  # type: ignore[attr-defined]
    return ask


def etag_of(document: Any) -> str:
    """Return the strong ETag of what a document says."""
    return '"' + sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32] + '"'
