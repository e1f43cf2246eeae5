"""The night's report, as the last step: written beside the night's state, and put into the outbox of mail.

In: a night as it stands. Out: the report as a page and as a document, and a letter to each who gets it. It exists so
that a night that went wrong reaches somebody who is not looking. A mail server that does not answer is no reason for a
night to fail: it is said in the report, and the letter waits. It is a step like others, so that a night that was cut
off while it reported goes on with the report, and nobody gets the letter twice.
"""

from __future__ import annotations

from pathlib import Path

import orjson
from sqlmodel import col, select

from api.home import open_database
from api.letters.sending.delivering import Deliverer
from api.letters.sending.night_letter import report_document, report_page
from api.nightly.step import StepOutcome, StepWork
from api.trail.nights import REPORT_DOCUMENT, REPORT_PAGE, Night, Said, night_path
from indexer.database import reading, writing
from indexer.disk import write_whole
from indexer.settings import Settings
from indexer.wording import T_
from matcher.notices.kinds import NoticeKind
from matcher.notices.outbox import Letter, LetterNotice, Notice, SendingState, notify

PATIENCE_S = 60.0


def write_report(home: Path, night: Night) -> None:
    """Write both forms beside the night's state.

    Raises:
        OSError: the disk is full or not writable.
    """
    folder = night_path(home, night.id)
    write_whole(folder / REPORT_DOCUMENT, orjson.dumps(report_document(night), option=orjson.OPT_INDENT_2))
    write_whole(folder / REPORT_PAGE, report_page(night).encode())


def recipients(settings: Settings) -> list[str]:
    """Return who gets the report."""
    return [one.strip() for one in settings.mail_to.split(",") if one.strip()]


def report_the_night(work: StepWork) -> StepOutcome:
    """Write the report and mail it."""
    write_report(work.settings.home, work.night)
    to = recipients(work.settings)
    if not to:
        return StepOutcome({"mailed_to": 0})
    key, night_id = f"night {work.night.id}", work.night.id
    with open_database(work.settings) as engine:
        with writing(engine, PATIENCE_S) as session:
            facts, place = {"night": night_id}, f"/admin/nights/{night_id}"
            notify(session, kind=NoticeKind.NIGHT_REPORT, to=to, key=key, place=place, facts=facts, now=work.now)
        done = Deliverer(engine, work.settings).deliver()
        with reading(engine) as session:
            query = (
                select(Letter.state, Letter.said)
                .join(LetterNotice, col(LetterNotice.letter_id) == col(Letter.id))
                .join(Notice, col(Notice.id) == col(LetterNotice.notice_id))
                .where(Notice.key == key)
            )
            letters = session.exec(query).all()
    sent = sum(state == SendingState.SENT.value for state, _ in letters)
    if sent == len(letters):
        return StepOutcome({"mailed_to": sent})
    error = done.problem or next((said for state, said in letters if state != SendingState.SENT.value and said), "?")
    said = Said.of(T_("the report could not be mailed: %(error)s", error=error))
    return StepOutcome({"mailed_to": sent}, said)
