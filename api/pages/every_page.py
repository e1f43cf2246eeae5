"""Every page of the workbench, in the order in which their addresses are looked through.

In: nothing. Out: the modules whose routers make up the pages. It exists as the
one list, so that a new page is entered in one place.
"""

from __future__ import annotations

from api.pages import (
    account,
    administration,
    assets,
    audit_trail,
    cases,
    companies,
    company,
    desk,
    exposure,
    field_map,
    front,
    kpi,
    kpi_entries,
    lab_claims,
    labs,
    my_lab,
    need,
    need_drafts,
    need_list,
    nights,
    people_admin,
    ranked,
    reporting,
    result_list,
    results,
    review,
    review_motions,
    review_quarters,
    rules,
    search,
    self_sufficiency,
    verdicts,
    warning_steps,
)
from api.pages.guide import chapters
from api.pages.receiving import MAX_FORM_BYTES
from api.pages.result_parts import PATHS_WITH_FILES

PAGES = (
    assets,
    front,
    chapters,
    account,
    administration,
    nights,
    people_admin,
    rules,
    audit_trail,
    my_lab,
    lab_claims,
    company,
    need_drafts,
    desk,
    search,
    labs,
    companies,
    kpi,
    kpi_entries,
    self_sufficiency,
    warning_steps,
    # An address of its own comes before the ids that would take it for one of theirs.
    exposure,
    field_map,
    need_list,
    need,
    ranked,
    verdicts,
    cases,
    reporting,
    result_list,
    results,
    review_motions,
    review_quarters,
    review,
)
BODY_LIMITS = dict.fromkeys((("POST", path) for path in PATHS_WITH_FILES), MAX_FORM_BYTES)
"""The forms that take more than others: each is received only after it is known who sends it."""
