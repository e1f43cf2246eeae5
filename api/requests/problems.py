"""What a client is told when something can't be done: one shape, one table.

In: an exception that ended a request. Out: `application/problem+json` (RFC 9457)
with `type`, `title`, `detail` and `field`, and the status. It exists so that
every refusal reads the same, never repeats what the client sent, and so that
nothing a client can do ends in a 500.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import quote

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from api.access.credentials import KeyLimitError
from api.access.identities import IdentityRefusedError
from api.access.passwords import PasswordError
from api.access.second_factor import SecondFactorError
from api.access.sign_on import SignOnError, SignOnUnavailableError
from api.jobs.import_drafts import ImportDraftError
from api.jobs.job_queue import JobError, JobRefusedError
from indexer.database import RETRY_AFTER_S, BusyError, DatabaseGoneError, LowRoomError, StorageFullError
from indexer.encoders.encoding import EncoderError
from indexer.encoders.query_vectors import EncodingBusyError
from indexer.index.generations import SnapshotError
from indexer.plain_text import TextError, printable
from indexer.records.import_log import MappingError
from indexer.records.values import number
from indexer.wording import T_, Language, recognised, said
from matcher.handouts.pictures import PictureError
from matcher.handouts.shortlists import ShortlistError
from matcher.judging.panel.grades import JudgingError, PoolError
from matcher.ledger.proving.heads import HeadKeyError
from matcher.ledger.rows.entries import AlreadyReportedError, LedgerError
from matcher.ledger.rows.motions import TiedError
from matcher.ledger.rows.pseudonyms import PersonsKeyError
from matcher.ledger.rows.result_claims import ClaimedElsewhereError
from matcher.ledger.rules.configuration import StaleConfigurationError, TakesTwoError
from matcher.ledger.rules.recognition import ConflictError
from matcher.mending.retiring import MendingError, NoSuchRecordError
from matcher.notices.readers import ReaderError
from matcher.portfolio.picks import PlanError
from matcher.ranking.pairings import UnknownRecordError
from matcher.review.cases import CaseError, StaleCaseError
from matcher.review.clients import ClientError
from matcher.review.conversation.answers import AnswerError, AnswerLateError
from matcher.review.conversation.attachments import AttachedTwiceError, AttachmentError
from matcher.review.conversation.corrections import CorrectionError
from matcher.review.conversation.lab_questions import QuestionError, QuestionLateError
from matcher.review.conversation.meetings import MeetingError, MeetingLateError
from matcher.review.conversation.signing import SigningError
from matcher.review.conversation.thread import ThreadError
from matcher.review.decisions import AlreadyDecidedError, DecisionError, RetiredError
from matcher.review.desk.handing_on import HandOverError
from matcher.review.desk.putting_off import PutOffError
from matcher.review.desk.saved_views import ViewError
from matcher.review.intake import DraftError, IntakeError
from matcher.review.joint.chains import ChainError
from matcher.review.joint.diagnosis import DiagnosisError
from matcher.review.joint.visits import StaleVisitError, VisitError
from matcher.review.own_lab.researchers import ClaimError, ProfileError
from matcher.review.people import LastOfficeError, PeopleError, SamePersonError
from matcher.review.proposals import ReleaseError
from matcher.review.steering import UnknownPickError
from matcher.teams.teams import TeamError

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:gloria:problem:"
_MAX_DETAIL = 500


class Problem(BaseModel):
    """Why a request was refused."""

    type: str = Field(description="A stable name of the kind of problem.", examples=["urn:gloria:problem:not-found"])
    title: str = Field(description="The kind of problem, in words.", examples=["Not found"])
    detail: str = Field(description="What is wrong here and what would be right.", examples=["there is no such need"])
    field: str | None = Field(default=None, description="The part of the request to blame.", examples=["verdict"])


class ProblemError(Exception):
    """A refusal with its status, said by the server itself."""

    def __init__(
        self,
        status: int,
        name: str,
        detail: str,
        field: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.name, self.detail, self.field, self.headers = status, name, detail, field, headers


class UnconfirmedError(ProblemError):
    """It is done only by a person who proved to be there a moment ago: see `POST /api/session/confirm`."""

    def __init__(self, detail: str, name: str = "confirm") -> None:
        super().__init__(403, name, detail)


def not_found(what: str = "record") -> ProblemError:
    """Return the refusal for what does not exist, or does not exist for this person: nobody can tell which."""
    return ProblemError(404, "not-found", T_(f"there is no such {what}"))


def moved(path: str, old_id: str, kept_id: str) -> ProblemError:
    """Return the refusal for the address of a record that was merged into another: the answer leads there."""
    place = path.removesuffix(quote(old_id, safe="")).removesuffix(old_id) + quote(kept_id, safe="")
    said = T_("this record was merged into another; its address is %(place)s", place=place)
    return ProblemError(308, "moved", said, None, {"Location": place})


def unauthenticated() -> ProblemError:
    """Return the refusal for who shows nothing that proves who they are."""
    challenge = {"WWW-Authenticate": "Bearer"}
    return ProblemError(401, "unauthenticated", T_("sign in, or send a valid key"), None, challenge)


def forbidden(detail: str) -> ProblemError:
    """Return the refusal for what a role never may do."""
    return ProblemError(403, "forbidden", detail)


_TITLES = {
    308: T_("Moved"),
    400: T_("Bad request"),
    401: T_("Sign in first"),
    403: T_("Not allowed"),
    404: T_("Not found"),
    405: T_("Method not allowed"),
    406: T_("Not acceptable"),
    408: T_("Too slow"),
    409: T_("In conflict with what is stored"),
    412: T_("Changed in the meantime"),
    413: T_("Too large"),
    415: T_("Unsupported media type"),
    422: T_("Not valid"),
    428: T_("A precondition is required"),
    429: T_("Too many requests"),
    431: T_("Too large"),
    503: T_("Not available now"),
    507: T_("No room to store it"),
}
_REFUSED = T_("Refused")
_TAGS = {Language.ZH: "zh-Hant", Language.EN: "en"}
_MAX_TAGS = 20
_NAMES = {
    400: "bad-request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "too-slow",
    413: "too-large",
    415: "unsupported-media-type",
    503: "busy",
}

TABLE: tuple[tuple[type[Exception], int, str], ...] = (
    (StaleCaseError, 412, "stale"),
    (CaseError, 409, "case"),
    (AlreadyDecidedError, 409, "already-decided"),
    (RetiredError, 409, "retired"),
    (DecisionError, 422, "decision"),
    (TeamError, 422, "team"),
    (ChainError, 422, "chain"),
    (DiagnosisError, 422, "diagnosis"),
    (StaleVisitError, 412, "stale"),
    (VisitError, 409, "visit"),
    (PlanError, 422, "portfolio"),
    (IntakeError, 409, "intake"),
    (JobError, 409, "job"),
    (JobRefusedError, 422, "invalid"),
    (ImportDraftError, 422, "invalid"),
    (MappingError, 409, "mapping"),
    (ReleaseError, 409, "release"),
    (AnswerLateError, 409, "answer-late"),
    (AnswerError, 422, "answer"),
    (QuestionLateError, 409, "question-late"),
    (QuestionError, 422, "question"),
    (ThreadError, 422, "message"),
    (AttachedTwiceError, 409, "attachment"),
    (AttachmentError, 422, "attachment"),
    (CorrectionError, 409, "correction"),
    (SigningError, 422, "signing"),
    (MeetingLateError, 409, "meeting-late"),
    (MeetingError, 422, "meeting"),
    (ShortlistError, 422, "shortlist"),
    (PictureError, 422, "picture"),
    (ClaimError, 409, "claim"),
    (NoSuchRecordError, 404, "not-found"),
    (MendingError, 422, "mending"),
    (PoolError, 422, "invalid"),
    (JudgingError, 409, "judging"),
    (ClientError, 409, "client"),
    (HandOverError, 409, "hand_over"),
    (PutOffError, 422, "invalid"),
    (ViewError, 422, "invalid"),
    (LastOfficeError, 409, "last-office"),
    (SamePersonError, 409, "two-people"),
    (PeopleError, 422, "people"),
    (PasswordError, 422, "password"),
    (KeyLimitError, 409, "keys"),
    (SecondFactorError, 422, "code"),
    (IdentityRefusedError, 403, "sign-on"),
    (SignOnError, 400, "sign-on"),
    (SignOnUnavailableError, 503, "sign-on"),
    (DraftError, 409, "draft"),
    (ProfileError, 422, "profile"),
    (StaleConfigurationError, 412, "stale"),
    (AlreadyReportedError, 409, "already-reported"),
    (ClaimedElsewhereError, 409, "claimed-elsewhere"),
    (ConflictError, 403, "conflict-of-interest"),
    (TiedError, 403, "conflict-of-interest"),
    (TakesTwoError, 409, "two-people"),
    (PersonsKeyError, 503, "persons-key"),
    (HeadKeyError, 503, "head-key"),
    (ReaderError, 422, "notices"),
    (LedgerError, 422, "ledger"),
    (UnknownRecordError, 404, "not-found"),
    (UnknownPickError, 422, "invalid"),
    (SnapshotError, 503, "no-index"),
    (EncoderError, 503, "no-encoder"),
    (EncodingBusyError, 503, "busy"),
    (TextError, 422, "invalid"),
    (BusyError, 503, "busy"),
    (LowRoomError, 507, "storage-low"),
    (StorageFullError, 507, "storage-full"),
    (DatabaseGoneError, 503, "database"),
)
"""Which status each error of the layers below means; the first that fits decides."""


def answer(
    status: int,
    name: str,
    detail: str,
    field: str | None = None,
    headers: dict[str, str] | None = None,
    language: Language = Language.EN,
) -> Response:
    """Return a problem as a response, in English unless another language is asked for."""
    told = {
        "type": _TYPE + name,
        "title": said(_TITLES.get(status, _REFUSED), language),
        "detail": printable(said(recognised(detail), language))[:_MAX_DETAIL],
        "field": field,
    }
    all_headers = {"Content-Language": _TAGS[language], "Vary": "Accept-Language", **(headers or {})}
    if status == 503:
        all_headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    return Response(orjson.dumps(told), status, all_headers, MEDIA_TYPE)


def language_asked(request: Request) -> Language:
    """Return the language that a program wants to be told in: Chinese if `Accept-Language` prefers it, else English."""
    weights: dict[str, float] = {}
    for part in request.headers.get("Accept-Language", "").split(",")[:_MAX_TAGS]:
        tag, _, rest = part.strip().lower().partition(";")
        weight = number(rest.strip().removeprefix("q=")) if rest else 1.0
        primary = tag.strip().partition("-")[0]
        weights[primary] = max(weights.get(primary, 0.0), weight or 0.0)
    wanted = weights.get("zh", 0.0)
    return Language.ZH if wanted > 0 and wanted >= weights.get("en", 0.0) else Language.EN


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why a request is refused, before it is told in any form."""

    status: int
    name: str
    detail: str
    field: str | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


Teller = Callable[[Request, Refusal], Response]
"""Tells a client of a refusal in the form that it understands."""

# What an index or a database says of itself names folders and hosts: that is not for clients.
_HIDDEN = {
    "no-encoder": T_("matching is not available: an encoder can't be loaded"),
    "no-index": T_("matching is not available: there is no usable index"),
    "database": T_("the database can't be used"),
    "storage-full": T_("the disk is full: nothing of this was stored; what is stored can still be read"),
    # It names some records that there are, for whoever mistyped an id on the command line.
    "not-found": T_("there is no such record"),
}
REFUSED: tuple[type[Exception], ...] = (
    ProblemError,
    HTTPException,
    RequestValidationError,
    *(kind for kind, _, _ in TABLE),
)
"""The errors that a client is told of."""


def refusal_of(error: Exception) -> Refusal:
    """Return the refusal that an error of `REFUSED` means."""
    if isinstance(error, ProblemError):
        return Refusal(error.status, error.name, error.detail, error.field, error.headers or {})
    if isinstance(error, HTTPException):
        name = _NAMES.get(error.status_code, "refused")
        return Refusal(error.status_code, name, str(error.detail), None, error.headers or {})
    if isinstance(error, RequestValidationError):
        return _invalid(error.errors()[0])
    status, name = next((status, name) for kind, status, name in TABLE if isinstance(error, kind))
    return Refusal(status, name, _HIDDEN.get(name, str(error)), getattr(error, "field", None))


_NAME = re.compile("[A-Za-z][A-Za-z0-9_]{0,39}")


def _invalid(first: Mapping[str, Any]) -> Refusal:
    """Say what is wrong with a request without repeating it: it may hold NaN, lone surrogates, or secrets."""
    whence, *rest = first.get("loc", ()) or ("",)
    place = [part for part in (whence, *rest) if part not in ("body", "query", "path", "header")]
    if whence == "body":
        # A field that is not known is named if it reads as one, to find the slip; all else is the client's own words.
        unknown = [part for part in place[-1:] if first.get("type") == "extra_forbidden" and _NAME.fullmatch(str(part))]
        place = [part for part in place if isinstance(part, int) or part in _declared() or part in unknown]
    cause = first.get("ctx", {}).get("error")
    message = str(cause) if isinstance(cause, Exception) else recognised(str(first.get("msg", T_("is not valid"))))
    blamed = getattr(cause, "field", "") or ".".join(printable(str(part)[:60]) for part in place) or None
    return Refusal(422, "invalid", message, blamed)


@cache
def _declared() -> frozenset[str]:
    """Return the names that fields of any body have; all models are there once the first request comes."""
    models, found = [BaseModel], set[str]()
    while models:
        model = models.pop()
        models += model.__subclasses__()
        for name, declared in model.model_fields.items():
            found |= {name, declared.alias or name}
    return frozenset(found)


def as_problem(request: Request, refusal: Refusal) -> Response:
    """Tell a program, in the language that it asks for."""
    return answer(
        refusal.status, refusal.name, refusal.detail, refusal.field, dict(refusal.headers), language_asked(request)
    )


def register(app: FastAPI, tell: Teller = as_problem) -> None:
    """Make an application answer every error of `REFUSED` by `tell`."""

    def refuse(request: Request, error: Exception) -> Response:
        return tell(request, refusal_of(error))

    for kind in REFUSED:
        app.add_exception_handler(kind, refuse)
