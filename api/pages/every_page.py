"""Every page of the workbench, in the order in which their addresses are looked through.

In: nothing. Out: the modules whose routers make up the pages. It exists as the
one list, so that a new page is entered in one place; in the menu it stands in `PLACES` of `api.pages.shell.visiting`.
"""

from __future__ import annotations

from api.pages import account, audit, cases, companies, labs, my_company, my_lab, review, search
from api.pages.admin import accounts, rules, service
from api.pages.conversation import attachments, case_steps, corrections, lab_questions, link, meetings, talk
from api.pages.conversation.attachments import MAX_ATTACHED_FORM_BYTES
from api.pages.desk import desk, tasks, views, whose
from api.pages.figures import alliances, bookings, field_map, kpi, people, places, reach
from api.pages.files import drafts, taking_out
from api.pages.files.drafts import PATHS_WITH_FILES as DRAFTS_WITH_FILES
from api.pages.guide import chapters
from api.pages.imports import lists, past
from api.pages.imports.lists import MAX_LIST_FORM_BYTES
from api.pages.joint import chain, visits
from api.pages.judging import grading, sessions
from api.pages.letters import notices, outside
from api.pages.mending import duplicates, merging, records, schools
from api.pages.needs import candidates, need, steering, team
from api.pages.portfolio import plans
from api.pages.results import entries, months, reporting
from api.pages.results.forms import PATHS_WITH_FILES
from api.pages.shell import assets
from api.pages.shell.receiving import MAX_FORM_BYTES
from api.pages.shortlists import logo, shared, shortlist

PAGES = (
    assets,
    # The own room of notices lies under the account, the office's mail under its administration.
    notices,
    outside,
    account,
    # An address of its own comes before the ids that would take it for one of theirs.
    duplicates,
    schools,
    merging,
    records,
    service,
    accounts,
    rules,
    audit,
    my_lab,
    my_company,
    desk,
    tasks,
    views,
    whose,
    search,
    talk,
    attachments,
    link,
    meetings,
    labs,
    visits,
    companies,
    kpi,
    alliances,
    bookings,
    people,
    reach,
    # An address of its own comes before the ids that would take it for one of theirs.
    shortlist,
    shared,
    logo,
    candidates,
    steering,
    team,
    chain,
    field_map,
    places,
    plans,
    need,
    case_steps,
    corrections,
    lab_questions,
    cases,
    reporting,
    months,
    entries,
    review,
    sessions,
    grading,
    # The imports that were begun, by their jobs, before the lists that would take them for one of theirs.
    past,
    lists,
    drafts,
    taking_out,
    chapters,
)
BODY_LIMITS = {
    **dict.fromkeys((("POST", path) for path in (*PATHS_WITH_FILES, *DRAFTS_WITH_FILES)), MAX_FORM_BYTES),
    ("POST", "/attachments"): MAX_ATTACHED_FORM_BYTES,
    ("POST", "/imports"): MAX_LIST_FORM_BYTES,
}
"""The forms that take more than others: each is received only after it is known who sends it."""
