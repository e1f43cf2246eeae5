"""Everything that refers to a lab, a company, a school or a person, and what becomes of it when two are made one.

In: nothing; or the id of a record. Out: each column of each table that names such a record, with the way in which it
follows the record that is kept; and how many rows name one. It exists as the one list, so that no reference is
forgotten: a test compares it with the schema, and a table that comes later fails it until somebody says here what is
to become of its rows.

What people may change is moved, and noted as it was. What the database keeps for ever, or the ledger's chains hold, is
never rewritten: whoever reads it asks for which record an old id stands (`indexer.records.mended.merged`). What only
says how something was shown or judged on a day stays with what was shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Column, Table, func, select
from sqlmodel import Session, SQLModel

from indexer.vocabulary import Mendable
from indexer.wording import T_


class Way(StrEnum):
    """How a reference to a record that goes follows the one that is kept."""

    MOVES = "moves"
    LISTED = "listed"
    ALIAS = "alias"
    STAYS = "stays"


@dataclass(frozen=True)
class Reference:
    """A column that names a record; `only` is a column and the value it has where this kind of record is meant.

    `label` says in words what its rows are, where a person is told how many there are; `unique` are columns that hold
    a combination once, so that a row stays where the record that is kept has one already.
    """

    table: str
    column: str
    way: Way
    label: str = ""
    only: tuple[str, str] | None = None
    unique: tuple[str, ...] = ()
    while_null: str | None = None
    """A column that has to be null for `unique` to hold."""

    @property
    def place(self) -> tuple[str, str]:
        """Table and column."""
        return self.table, self.column

    def at(self) -> tuple[Table, Column[str]]:
        """Return the table and the column."""
        table = SQLModel.metadata.tables[self.table]
        return table, table.c[self.column]


_MOVES, _LISTED, _ALIAS, _STAYS = Way.MOVES, Way.LISTED, Way.ALIAS, Way.STAYS

_BY_HAND: dict[str, str] = {
    "account_id": "account_identity api_key audit break_glass_read calendar_feed idempotent_reply job login_session "
    "notice notice_choice notice_reader password password_renewal recovery_code role_grant "
    "second_factor webhook import_draft judging_member put_off saved_view",
    "asked_by": "client_request",
    "answered_by": "client_request",
    "by": "configuration_version gender_analysis gender_count lab_edit ladder_step school_total "
    "sufficiency_row ledger_motion_end point_row side_answer thread_message judged_word judging_step need_steering "
    "case_team hand_over lab_answer lab_question signing ledger_step meeting_step portfolio_plan "
    "need_chain diagnosis_visit visit_step",
    "sent_by": "evidence_file",
    "noted_by": "external_claim",
    "started_by": "judging",
    "decided_by": "lab_claim",
    "owner": "ladder_step",
    "moved_by": "ledger_motion ledger_period_close",
    "seconded_by": "ledger_period_close",
    "registered_by": "ledger_person",
    "settled_by": "need_said",
    "put_by": "picture",
    "made_by": "shortlist shortlist_link",
    "allowed_by": "webhook_host",
    "named_by": "judging_member",
    "revoked_by": "shortlist_link",
    "proposed_by": "meeting",
}  # fmt: skip
"""Columns that say whose hand something was, who holds it to sign in, or who is told: each stays with its account."""

REFERENCES: dict[Mendable, tuple[Reference, ...]] = {
    Mendable.LAB: (
        Reference("evidence", "lab_id", _MOVES, T_("pieces of evidence")),
        Reference("pairing", "lab_id", _MOVES, T_("pairings with needs"), unique=("need_id",)),
        Reference("release", "lab_id", _MOVES, T_("releases to companies")),
        Reference("case_file", "lab_id", _ALIAS, T_("cases that came of it")),
        Reference("need", "excluded_labs", _LISTED, T_("needs that exclude it")),
        Reference("shortlisted_lab", "lab_id", _MOVES, T_("shortlists that name it"), unique=("shortlist_id",)),
        Reference("lab_claim", "lab_id", _ALIAS, T_("claims by researchers")),
        Reference("role_grant", "scope_id", _ALIAS, T_("roles of researchers"), only=("role", "researcher")),
        Reference("stake", "party_id", _ALIAS, T_("declared interests"), only=("party", "lab")),
        Reference("lab_question", "lab_id", _ALIAS),
        Reference("need_chain", "lab_id", _STAYS),
        Reference("lab_edit", "lab_id", _STAYS),
        Reference("lab_school", "lab_id", _STAYS),
        Reference("judged_pair", "lab_id", _STAYS),
        Reference("field_map_lab", "lab_id", _STAYS),
    ),
    Mendable.COMPANY: (
        Reference("need", "company", _MOVES, T_("needs that came from it")),
        Reference("need_draft", "company_id", _MOVES, T_("drafts of needs")),
        Reference("case_file", "company_id", _ALIAS, T_("cases that came of it")),
        Reference("contact", "company_id", _MOVES, T_("contacts")),
        Reference("diagnosis_visit", "company_id", _MOVES, T_("joint visits to companies")),
        Reference(
            "client",
            "company_id",
            _MOVES,
            T_("alliances that look after it"),
            unique=("alliance_id",),
            while_null="until",
        ),
        Reference(
            "client_request",
            "company_id",
            _MOVES,
            T_("requests to look after it"),
            unique=("alliance_id",),
            while_null="answer",
        ),
        Reference("lab", "conflicts", _LISTED, T_("labs with a conflict of interest")),
        Reference("role_grant", "scope_id", _ALIAS, T_("contact persons"), only=("role", "company")),
        Reference("stake", "party_id", _ALIAS, T_("declared interests"), only=("party", "company")),
        Reference("ledger_entry", "company_id", _ALIAS, T_("results in the ledger")),
    ),
    Mendable.SCHOOL: (
        Reference("lab", "school", _MOVES, T_("labs that belong to it")),
        Reference("need", "school", _MOVES, T_("needs that came from it")),
        Reference("alliance", "center", _MOVES, T_("alliances that it leads")),
        Reference("alliance_partner", "school", _MOVES, T_("alliances that it is a partner of")),
        Reference("school", "merged_into", _MOVES, T_("schools that it took in")),
        Reference("lab_school", "school", _MOVES),
        Reference("school_total", "school_id", _ALIAS, T_("totals of a year")),
        Reference("ledger_entry", "school_id", _ALIAS, T_("results in the ledger")),
        Reference("school_name", "school_id", _STAYS),
    ),
    Mendable.NEED: (
        Reference("pairing", "need_id", _STAYS, T_("pairings with labs")),
        Reference("case_file", "need_id", _STAYS, T_("cases that came of it")),
        Reference("need_share", "need_id", _STAYS, T_("alliances that it was shared with")),
        Reference("need_steering", "need_id", _STAYS),
        Reference("case_team", "need_id", _STAYS),
        Reference("need_chain", "need_id", _STAYS),
        Reference("hand_over", "need_id", _STAYS),
    ),
    Mendable.PERSON: (
        Reference("client", "expert_id", _MOVES, T_("companies looked after")),
        Reference("client_request", "expert_id", _MOVES, T_("requests to look after companies")),
        Reference("case_file", "owner_id", _MOVES, T_("cases that came of it")),
        Reference("need_intake", "expert_id", _MOVES, T_("needs taken up")),
        Reference("need_draft", "begun_by", _MOVES, T_("drafts of needs")),
        Reference("stake", "account_id", _ALIAS, T_("declared interests")),
        Reference("lab_claim", "account_id", _ALIAS, T_("claims by researchers")),
        Reference("decision", "by", _ALIAS, T_("decisions on pairings")),
        Reference("ledger_entry", "reporter", _ALIAS, T_("results in the ledger")),
        Reference("account_tie", "account_id", _ALIAS),
        Reference("account_tie", "by", _ALIAS),
        Reference("aspect_score", "by", _ALIAS),
        Reference("month_report", "by", _ALIAS),
        Reference("attachment", "by", _ALIAS),
        Reference("hand_over", "given_to", _ALIAS),
        *(Reference(table, column, _STAYS) for column, tables in _BY_HAND.items() for table in tables.split()),
    ),
    Mendable.EVIDENCE: (),
}
"""By kind of record, in the order in which a person is told of them."""


@dataclass(frozen=True)
class Hanging:
    """How many rows of one sort name a record."""

    reference: Reference
    rows: int


def hanging_on(session: Session, kind: Mendable, record_id: str) -> list[Hanging]:
    """Return what names a record, what there is none of left out, and what is only listed in other records too."""
    found = []
    for one in REFERENCES[kind]:
        if not one.label or one.way is Way.LISTED:
            continue
        table, column = one.at()
        query = select(func.count()).select_from(table).where(column == record_id)
        if one.only is not None:
            query = query.where(table.c[one.only[0]] == one.only[1])
        rows = int(session.connection().execute(query).scalar_one())
        if rows:
            found.append(Hanging(one, rows))
    return found
