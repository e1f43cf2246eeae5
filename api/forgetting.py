"""`gloria erase`: forget a person, from the command line, for whoever runs the machine.

In: whom and why. Out: what was erased. It exists because somebody who asks to
be forgotten must be: in the tables, in the database's files, in the index.
"""

from __future__ import annotations

from typing import Annotated

import typer

from api.indexing import reindexed
from api.opening import read_settings
from api.refusals import RefusedError
from api.screen import Screen
from indexer.wording import T_

_KINDS = ("person", "account", "researcher")


def forget(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="person (by pseudonym), account or researcher (by the lab's id).")] = "",
    subject: Annotated[str, typer.Argument(help="Pseudonym, id of the account, or id of the lab.")] = "",
    *,
    reason: Annotated[str, typer.Option(help="Why, without the name.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Repeat all erasures, after a restore.")] = False,
) -> None:
    """Erase a person's name and contact for good; every total stays."""
    from api.erasing import erase_for_good, forget_index_texts, repeat_erasures
    from matcher.erasure import ErasedKind, ErasureError

    screen, settings = Screen.of(context), read_settings()
    if again:
        done = repeat_erasures(settings)
        screen.say(T_("repeated %(done)s erasures", done=done))
    elif kind not in _KINDS:
        raise RefusedError(T_("%(kind)r can't be erased; give one of: %(kinds)s", kind=kind, kinds=", ".join(_KINDS)))
    else:
        try:
            erase_for_good(settings, kind=ErasedKind(kind), subject=subject, reason=reason, by="command line")
        except ErasureError as error:
            raise RefusedError(T_("%(field)s: %(error)s", field=error.field, error=error)) from error
        screen.say(T_("erased name and contact of %(kind)s %(subject)s", kind=kind, subject=subject))
    if (again or kind == "researcher") and settings.index_path.exists():
        # In full, so that an index that was held back can't leave the one in use that names the person.
        reindexed(screen, settings, full=True)
        forget_index_texts(settings)
