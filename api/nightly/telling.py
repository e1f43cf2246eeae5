"""The last step of the night: the report, and its mail.

In: what all other steps came to. Out: the report as a page and as a document
beside the night's state, and the same page in the mail of those who asked for
it. It exists as a step like others, so that a night that was cut off while it
reported goes on with the report.
"""

from __future__ import annotations

from api.night_runs import Said
from api.nightly.mail import MailError, recipients, send
from api.nightly.outcome import Outcome, Work
from api.nightly.report_page import write_report
from indexer.wording import T_


def report_the_night(work: Work) -> Outcome:
    """Write the report and mail it."""
    write_report(work.settings.home, work.night)
    if not recipients(work.settings):
        return Outcome({"mailed_to": 0})
    try:
        return Outcome({"mailed_to": send(work.settings, work.night)})
    except MailError as error:
        said = Said.of(T_("the report could not be mailed: %(error)s", error=error))
        return Outcome({"mailed_to": 0}, said)
