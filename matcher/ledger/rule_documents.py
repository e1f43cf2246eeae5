"""Every document of rules and values that the programme office may change, by name.

In: a name, and what somebody wants the document to say. Out: the kind of
document, or the document checked by its own model. It exists so that server and
command line refuse the same mistakes with the same words.
"""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import ValidationError

from indexer.plain_text import printable
from indexer.wording import T_, recognised
from matcher.ledger.figures.forecast import ForecastRules
from matcher.ledger.figures.gender import GenderRules
from matcher.ledger.figures.subsidy import SubsidyPath
from matcher.ledger.figures.sufficiency import PointRules
from matcher.ledger.figures.warnings import AllianceTargets, WarningRules
from matcher.ledger.rows.entries import LedgerError
from matcher.ledger.rules.configuration import Configured
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
        RecognitionRules,
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
