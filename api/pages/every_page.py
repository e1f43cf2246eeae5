"""Every page of the workbench, in the order in which their addresses are looked through.

In: nothing. Out: the modules whose routers make up the pages. It exists as the
one list, so that a new page is entered in one place; in the menu it stands in `PLACES` of `api.pages.shell.visiting`.
"""

from __future__ import annotations

from api.pages import account, admin, audit, cases, companies, desk, field_map, labs, my_company, my_lab, review
from api.pages.figures import alliances, kpi
from api.pages.files import taking_out
from api.pages.guide import chapters
from api.pages.judging import grading, sessions
from api.pages.needs import candidates, need
from api.pages.results import entries, reporting
from api.pages.results.forms import MAX_FORM_BYTES, PATHS_WITH_FILES
from api.pages.shell import assets

PAGES = (
    assets,
    account,
    admin,
    audit,
    my_lab,
    my_company,
    desk,
    labs,
    companies,
    kpi,
    alliances,
    # An address of its own comes before the ids that would take it for one of theirs.
    candidates,
    field_map,
    need,
    cases,
    reporting,
    entries,
    review,
    sessions,
    grading,
    taking_out,
    chapters,
)
BODY_LIMITS = dict.fromkeys((("POST", path) for path in PATHS_WITH_FILES), MAX_FORM_BYTES)
"""The forms that take more than others: each is received only after it is known who sends it."""
