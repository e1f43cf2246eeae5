"""Every document of rules and values that the programme office may change, by name.

In: a name, and what somebody wants the document to say. Out: the kind of
document, or the document checked by its own model; for one that binds two people
a motion, and with a second person's word the new version. It exists so that server
and command line refuse the same mistakes with the same words. A change holds for
what is reported after it: what is reported already keeps the strictest limit that
it ever met.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from pydantic import ValidationError
from sqlmodel import Session

from indexer.plain_text import printable
from indexer.wording import T_, recognised
from matcher.ledger.figures.alliance_targets import AllianceTargets
from matcher.ledger.figures.forecast import ForecastRules
from matcher.ledger.figures.gender import GenderRules
from matcher.ledger.figures.subsidy import SubsidyPath
from matcher.ledger.figures.sufficiency import PointRules
from matcher.ledger.figures.warnings import WarningRules
from matcher.ledger.rows.chain import lock_heads
from matcher.ledger.rows.entries import LedgerError
from matcher.ledger.rows.motions import Motion, MotionKind, end, move, open_motion
from matcher.ledger.rules.configuration import Configured, change, latest
from matcher.ledger.rules.headings import ReportHeading
from matcher.ledger.rules.reach import ReachRule
from matcher.ledger.rules.recognition import RecognitionRules
from matcher.ledger.rules.targets import MoneyDefinitions, TargetBooks

DOCUMENTS: dict[str, type[Configured]] = {
    kind.name: kind
    for kind in (
        AllianceTargets,
        ForecastRules,
        GenderRules,
        MoneyDefinitions,
        PointRules,
        ReachRule,
        RecognitionRules,
        ReportHeading,
        SubsidyPath,
        TargetBooks,
        WarningRules,
    )
}
"""The kind of each document by its name."""


def checked_document(kind: type[Configured], content: Any) -> Configured:
    """Return content as a document of a kind.

    Raises:
        LedgerError: it is not what the kind asks for; `field` names the first place that is wrong.
    """
    try:
        # As it will be stored, so that what JSON can't hold is found here and not when it is read.
        stored = orjson.dumps(content)
    except TypeError as error:
        raise LedgerError(T_("give whole numbers below 2^63 and whole characters"), "document") from error
    if b"\\u0000" in stored:
        raise LedgerError(T_("a text has the character NUL"), "document")
    try:
        return kind.model_validate(orjson.loads(stored))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(printable(str(part)[:60]) for part in first["loc"])
        field = f"document.{place}" if place else "document"
        raise LedgerError(
            T_("%(place)s: %(msg)s", place=place or kind.name, msg=recognised(first["msg"])), field
        ) from error


def move_document(session: Session, document: Configured, *, reason: str, by: str, now: datetime) -> Motion:
    """Move that a document that binds two people be changed; it holds once a second person agrees.

    Raises:
        LedgerError: no reason is given.
        AlreadyReportedError: a change of this document waits for a second person already.
    """
    # So that its first moment lies on one side of every report.
    lock_heads(session)
    payload = {"document": orjson.loads(document.model_dump_json()), "after": _version(session, document.name)}
    return move(
        session, kind=MotionKind.CONFIGURE, subject=document.name, payload=payload, reason=reason, by=by, now=now
    )


def second_document(session: Session, *, motion_id: int, by: str, now: datetime) -> int:
    """Change a document as the second person, and return the number of the version.

    Raises:
        LedgerError: the motion is not on a document or has ended, the mover seconds, or the document was changed since.
        TiedError: the second person made, granted or keyed the account of the first, or the other way round.
    """
    lock_heads(session)
    motion = open_motion(session, motion_id)
    if motion.kind != MotionKind.CONFIGURE:
        raise LedgerError(T_("motion %(motion_id)s is not on a document", motion_id=motion_id), "motion")
    if motion.payload["after"] != _version(session, motion.subject):
        raise LedgerError(T_("the document was changed since; drop the motion and move anew"), "motion")
    document = checked_document(DOCUMENTS[motion.subject], motion.payload["document"])
    end(session, motion, seconded=True, by=by, now=now)
    return change(session, document, reason=motion.reason, by=motion.moved_by, now=now, motion_id=motion.id)


def _version(session: Session, name: str) -> int:
    stored = latest(session, name)
    return 0 if stored is None else stored.version
