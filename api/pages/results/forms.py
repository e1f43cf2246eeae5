"""The form of a result: what it asks figure by figure, the files that come with it, and the report made of it.

In: a browser's multipart request, many times larger than other forms and received only from who may send one. Out:
the fields of each figure with what they mean, the body that the API takes, with shares in basis points, and files
stored under their hashes. It exists apart from the pages because reporting and supplementing share it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from sqlmodel import Session, col, select
from starlette.datastructures import FormData, UploadFile

from api.access.policy import Action
from api.access.visibility import companies as visible_companies
from api.documents.ledger_bodies import EntryBody, PersonBody
from api.pages.shell.receiving import MAX_FILES
from api.pages.shell.record_names import every
from api.pages.shell.visiting import Visit
from api.pages.shell.wording import N_
from api.requests.problems import ProblemError, Refusal
from api.routes.ledger.entries import register_person, store_file
from indexer.plain_text import printable
from indexer.records.mended.retired import in_use
from indexer.records.record_tables import Alliance, Company, School
from indexer.records.values import FieldError, money
from indexer.vocabulary import Mendable, Tier
from indexer.wording import T_
from matcher.ledger.rows.details import Aspect, Gender, InternationalBasis, PayerType, ProofKind, Purpose, read_details
from matcher.ledger.rows.entries import WHOLE_BP
from matcher.ledger.rows.evidence import MAX_BYTES
from matcher.ledger.rows.kpis import KPI_FACTS, Kpi
from matcher.ledger.rows.result_claims import OTHER_PROGRAMME_LABELS
from matcher.ledger.rows.steps import STATE_LABELS
from matcher.review.people import Principal

_MAX_NAME = 150


def store_files(visit: Visit) -> Iterator[dict[str, str]]:
    """Store the files of a form one by one; yield each as an entry names it.

    Raises:
        Exception: one of `REFUSED`, whatever storing evidence refuses; the files before it stay stored.
    """
    for sent in visit.form.getlist("files"):
        if isinstance(sent, UploadFile) and sent.filename:
            stored = visit.document(store_file, content=sent.file.read(), once=False)
            yield {"sha256": stored["sha256"], "name": _name(sent.filename)}


def _name(given: str) -> str:
    """Return a file's name without folders, as much of its end as an entry keeps."""
    return printable(PurePosixPath(given.replace("\\", "/")).name)[-_MAX_NAME:] or "file"


class Input(StrEnum):
    """How a value is given."""

    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    COUNTRY = "country"
    COMPANY = "company"
    ALLIANCE = "alliance"
    CHOICE = "choice"
    PERSON = "person"
    ASPECTS = "aspects"


@dataclass(frozen=True)
class Asked:
    """One value of a result's details."""

    name: str
    label: str
    input: Input = Input.TEXT
    hint: str = ""
    options: tuple[tuple[str, str], ...] = ()
    default: str = ""
    required: bool = True


@dataclass(frozen=True)
class Meaning:
    """What a figure counts, what of it counts once, and what proves it."""

    counts: str
    once: str
    proof: str


_PAYERS = (
    (PayerType.COMPANY, N_("company")),
    (PayerType.INDUSTRY_BODY, N_("industry association")),
    (PayerType.PUBLIC_BODY, N_("public body")),
    (PayerType.OTHER, N_("other")),
)
_PURPOSES = (
    (Purpose.RESEARCH, N_("research and development")),
    (Purpose.LICENSING, N_("licence or technology transfer")),
    (Purpose.FACILITY, N_("facilities or testing")),
    (Purpose.TRAINING, N_("training")),
    (Purpose.MEMBERSHIP, N_("membership fee")),
    (Purpose.DONATION, N_("donation")),
    (Purpose.OTHER, N_("other")),
)
_GENDERS = (
    (Gender.UNDISCLOSED, N_("not said")),
    (Gender.FEMALE, N_("female")),
    (Gender.MALE, N_("male")),
    (Gender.SELF_DESCRIBED, N_("self-described")),
)
_BASES = (
    (InternationalBasis.FOREIGN_PARTNER, N_("the partner is foreign")),
    (InternationalBasis.DOMESTIC_AT_INTERNATIONAL_EVENT, N_("a domestic case, born at an international event")),
)
_TIERS = (
    (Tier.DOMESTIC, N_("domestic member")),
    (Tier.INTERNATIONAL, N_("international member")),
    (Tier.GOLD, N_("international gold member")),
)
_ASPECTS = (
    (Aspect.COMMERCIAL_USE, N_("Commercial use of research")),
    (Aspect.INTERNATIONAL, N_("International reach")),
    (Aspect.CAPACITY, N_("Capacity and progress")),
    (Aspect.SELF_OPERATION, N_("Plan and progress of self-operation")),
    (Aspect.INDUSTRY_LEAD, N_("Breakthroughs that lead the industry")),
    (Aspect.INTEGRATION, N_("Industry-academia and startup work under one roof")),
)
_PROOFS = (
    (ProofKind.SALES, N_("sales")),
    (ProofKind.PROFIT, N_("profit")),
    (ProofKind.SAVED_COST, N_("saved cost")),
    (ProofKind.NEW_INDUSTRY, N_("a new industry")),
    (ProofKind.NEW_MARKET, N_("a new market")),
)
_GENDER = Asked(
    "gender",
    N_("Gender"),
    Input.CHOICE,
    N_("As the person says; nobody has to say."),
    _GENDERS,
    Gender.UNDISCLOSED.value,
)
_REFERENCE = Asked("reference", N_("Reference of the case"), hint=N_("The number under which your files keep it."))

FIELDS: dict[Kpi, tuple[Asked, ...]] = {
    Kpi.ALLIANCES: (Asked("alliance", N_("Alliance"), Input.ALLIANCE),),
    Kpi.MEMBERS: (
        Asked("company", N_("Member company"), Input.COMPANY),
        Asked("country", N_("Country"), Input.COUNTRY, N_("Where the company has its seat."), default="TW"),
        Asked(
            "tier",
            N_("Kind of membership"),
            Input.CHOICE,
            N_("The kind is not the nationality: a Taiwanese firm can be an international member."),
            _TIERS,
        ),
    ),
    Kpi.INTERNATIONAL_CASES: (
        _REFERENCE,
        Asked("partner", N_("Partner")),
        Asked("partner_country", N_("Country of the partner"), Input.COUNTRY),
        Asked(
            "basis",
            N_("Why it is international"),
            Input.CHOICE,
            N_("The plan can be read both ways; both are kept apart."),
            _BASES,
        ),
    ),
    Kpi.MONEY: (
        Asked("contract", N_("Contract number")),
        Asked(
            "instalment",
            N_("Which instalment"),
            Input.NUMBER,
            N_("1 if it is paid at once. With a schedule below, each part gets its own number."),
            default="1",
        ),
        Asked("payer", N_("Who pays")),
        Asked("payer_country", N_("Country of the payer"), Input.COUNTRY, default="TW"),
        Asked("payer_type", N_("Kind of payer"), Input.CHOICE, options=_PAYERS),
        Asked("purpose", N_("Paid for"), Input.CHOICE, options=_PURPOSES),
    ),
    Kpi.TALENT: (
        Asked("person", N_("Person"), Input.PERSON),
        Asked("programme", N_("Training programme")),
        Asked("year", N_("Year of the training"), Input.NUMBER, N_("In the common era, such as 2020.")),
        _GENDER,
    ),
    Kpi.STARTUPS: (
        Asked("tax_id", N_("Tax id (統一編號)"), hint=N_("Eight digits.")),
        Asked("startup_name", N_("Name of the startup")),
    ),
    Kpi.JOBS: (
        Asked("employer", N_("Employer")),
        Asked("post", N_("Post")),
        Asked("start_on", N_("First day at work"), Input.DATE),
        Asked("person", N_("Person"), Input.PERSON, required=False),
        _GENDER,
    ),
    Kpi.MODEL_CASES: (
        _REFERENCE,
        Asked("title", N_("Title")),
        Asked("aspects", N_("What speaks for it, by aspect"), Input.ASPECTS, options=_ASPECTS),
        Asked("proof_kind", N_("What was measured"), Input.CHOICE, options=_PROOFS),
        Asked("proof_ntd", N_("Measured amount (NT$)"), Input.NUMBER),
        Asked("proof_of", N_("Of what, by whom and when")),
    ),
}
"""For each figure that is reported: what is asked. A member's name is that of the chosen company."""

MEANINGS: dict[Kpi, Meaning] = {
    Kpi.ALLIANCES: Meaning(
        N_("An international industry-academia alliance that was founded and works."),
        N_("An alliance counts once."),
        N_("the founding document or the ministry's approval"),
    ),
    Kpi.MEMBERS: Meaning(
        N_("A representative company, domestic or international, that became a member."),
        N_("A company counts once, whichever alliances it joins."),
        N_("the signed membership agreement and what shows that the company is representative"),
    ),
    Kpi.INTERNATIONAL_CASES: Meaning(
        N_("A cooperation with a foreign partner, or one that was born at an international event."),
        N_("A case counts once, by its reference."),
        N_("the cooperation agreement or a signed memorandum with its work plan"),
    ),
    Kpi.MONEY: Meaning(
        N_("What industry pays to a school for research, licences, facilities or training, in the year it falls due."),
        N_("Each instalment of a contract counts once."),
        N_("the contract with its payment schedule, and the receipt"),
    ),
    Kpi.TALENT: Meaning(
        N_("One person who finished a training that the alliance held or arranged."),
        N_("A person counts once for each programme and year."),
        N_("the list of participants or the certificate"),
    ),
    Kpi.STARTUPS: Meaning(
        N_("A company that was newly founded on what a lab or an alliance brought about."),
        N_("A startup counts once, by its tax id."),
        N_("the registration and what links the company to the lab"),
    ),
    Kpi.JOBS: Meaning(
        N_("A post that was filled because of the alliance's work."),
        N_("A post counts once, by employer, post and first day."),
        N_("the employer's confirmation"),
    ),
    Kpi.MODEL_CASES: Meaning(
        N_("An alliance that carried itself within three years of its founding, judged on six aspects."),
        N_("A case counts once, by its reference."),
        N_("sales, profit, saved cost, a new industry or a new market, with figures"),
    ),
}
"""What each figure that is reported counts."""


SHARE_ROWS, FEWEST_PARTS, MOST_PARTS = 4, 4, 60
PARTY_ROWS = 5
"""So many other schools or companies may share a result; the API takes more."""
MORE_PARTS = 8


def body_of(visit: Visit, kpi: Kpi, evidence: list[dict[str, str]]) -> EntryBody:
    """Return what a form reports.

    Raises:
        Exception: one of `REFUSED`: something is not what it must be, or the person can't be registered.
    """
    given: dict[str, Any] = visit.values(
        "id", "amount", "occurred_on", "school_id", "counts_on", "company_id", "case_id", "restates", "value_added"
    )
    given["amount"] = plain_number(given.get("amount", "1"))
    given |= {"kpi": kpi, "shares": shares_of(visit), "details": _details(visit, kpi)}
    for party in ("school", "company"):
        sharing = parts_of(visit, party, given.get(f"{party}_id"))
        given |= {f"{party}_shares": sharing} if sharing else {}
    given["evidence"] = [*evidence, *({"url": line} for line in _lines(visit.form.get("links")))]
    parts = instalments_of(visit)
    if parts:
        given["instalments"] = parts
    return visit.body(EntryBody, given)


def plain_number(number: str) -> str:
    """Return a number as people write it (90萬, ９００，０００, NT$ 900,000) in digits; what is none stays as it is."""
    try:
        return str(money(number.replace("_", "")))
    except FieldError:
        return number


def _lines(text: object) -> Iterable[str]:
    return [line.strip() for line in str(text or "").splitlines() if line.strip()]


def shares_of(visit: Visit, rows: int = SHARE_ROWS) -> dict[str, int]:
    """Return the shares of a form, in basis points by alliance.

    Raises:
        ProblemError: a line is not whole, or no percentage.
    """
    found: dict[str, int] = {}
    for row in range(1, rows + 1):
        given = visit.values(f"alliance-{row}", f"percent-{row}")
        alliance, percent = given.get(f"alliance-{row}"), given.get(f"percent-{row}")
        if alliance is None and percent is None:
            continue
        if alliance is None or percent is None or alliance in found:
            raise ProblemError(422, "invalid", T_("give each alliance once, with its percentage"), "shares")
        found[alliance] = _basis_points(percent)
    return found


def parts_of(visit: Visit, party: str, first: str | None, rows: int = PARTY_ROWS) -> dict[str, int]:
    """Return how schools or companies share a result, in basis points; nothing where it is of one.

    The form asks for the others: what they leave is the part of the one that the result is reported under.

    Raises:
        ProblemError: a line is not whole, no percentage, or nothing is left for the first.
    """
    field, others = f"{party}_shares", {}
    for row in range(2, rows + 2):
        given = visit.values(f"{party}-{row}", f"{party}_percent-{row}")
        one, percent = given.get(f"{party}-{row}"), given.get(f"{party}_percent-{row}")
        if one is None and percent is None:
            continue
        if one is None or percent is None or one in others or one == first:
            raise ProblemError(422, "invalid", T_("give each of the others once, with its percentage"), field)
        others[one] = _basis_points(percent, field)
    if not others:
        return {}
    left = WHOLE_BP - sum(others.values())
    if first is None or left < 1:
        raise ProblemError(
            422, "invalid", T_("the one above has a part too: the others have less than 100 percent"), field
        )
    return {first: left, **others}


def _basis_points(percent: str, field: str = "shares") -> int:
    try:
        exact = Decimal(percent.strip().removesuffix("%").strip()) * 100
    except InvalidOperation:
        exact = Decimal(0)
    if not exact.is_finite() or exact != exact.to_integral_value() or not 0 < exact <= WHOLE_BP:
        raise ProblemError(422, "invalid", T_("give percentages from 0.01 to 100, with two decimals at most"), field)
    return int(exact)


def instalments_of(visit: Visit, rows: int = MOST_PARTS) -> list[dict[str, Any]]:
    """Return the instalments of a form.

    Raises:
        ProblemError: a line has a day or an amount alone.
    """
    found = []
    for row in range(1, rows + 1):
        given = visit.values(f"due_on-{row}", f"part_ntd-{row}")
        if not given:
            continue
        if len(given) < 2:
            raise ProblemError(422, "invalid", T_("give each instalment its day and its amount"), "instalments")
        found.append({"due_on": given[f"due_on-{row}"], "amount_ntd": plain_number(given[f"part_ntd-{row}"])})
    return found


def _details(visit: Visit, kpi: Kpi) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for asked in FIELDS[kpi]:
        name = f"details_{asked.name}"
        if asked.input is Input.ASPECTS:
            aspects = visit.values(*(f"{name}_{one}" for one, _ in asked.options))
            found[asked.name] = {key.removeprefix(f"{name}_"): text for key, text in aspects.items()}
        else:
            text = visit.values(name).get(name)
            if text is not None:
                found[asked.name] = text
    if kpi is Kpi.MEMBERS and "company" in found:
        found["company_name"] = visit.look(lambda session, _: _company_name(session, found["company"]))
    return found


def _company_name(session: Session, company_id: str) -> str:
    return session.exec(select(Company.name).where(Company.id == company_id)).first() or company_id


def registered(visit: Visit) -> str | None:
    """Register the person that a form names; return the pseudonym, None if it names nobody.

    Raises:
        Exception: one of `REFUSED`: name or identifier is missing.
    """
    given = visit.values("person_name", "person_identifier")
    if not given:
        return None
    for name in ("person_name", "person_identifier"):
        if name not in given:
            raise ProblemError(422, "invalid", T_("give the name and what tells people of one name apart"), name)
    body = visit.body(PersonBody, {"name": given["person_name"], "identifier": given["person_identifier"]})
    pseudonym: str = visit.document(register_person, body=body)["pseudonym"]
    return pseudonym


def choices(session: Session, who: Principal) -> dict[str, Any]:
    """Return what a form chooses from: schools, and companies that the person may see."""
    companies = session.execute(
        select(Company.id, Company.name, Company.name_en, Company.country)
        .where(visible_companies(who, Action.LIST))
        .order_by(col(Company.name))
        .limit(2_000)
    ).all()
    return {
        "schools": every(session, School, in_use(Mendable.SCHOOL, col(School.id))),
        "companies": {row[0]: (row[1], row[2]) for row in companies},
    }


PATHS_WITH_FILES = ("/results/new", "/results/supplements", "/cases/signatures")
"""Their forms are received by `receiving`, only from who may send one."""
_KEPT = re.compile(r"([0-9a-f]{64}) (.*)")


def words(visit: Visit) -> dict[str, Any]:
    """Return what every template of results names things by."""
    return {
        "kpis": {kpi.value: facts.label.both for kpi, facts in KPI_FACTS.items()},
        "states": {state: label.both for state, label in STATE_LABELS.items()},
        "programmes": {one.value: label.both for one, label in OTHER_PROGRAMME_LABELS.items()},
        "alliances": visit.look(lambda session, _: every(session, Alliance)),
        "title_of": title_of,
        "max_files": MAX_FILES,
        "max_mib": MAX_BYTES // 2**20,
    }


def title_of(entry: Mapping[str, Any]) -> str:
    """Return what a result is called in a list: the other party, else what it is known by."""
    kpi = Kpi(entry["kpi"])
    details = read_details(kpi, {name: value for name, value in entry["details"].items() if name != "kpi"})
    known = next((str(entry["details"][name]) for name in ("contract", "reference") if name in entry["details"]), "")
    return " · ".join(part for part in (details.party(), known) if part) or str(entry["natural_key"])


def kept_files(form: FormData) -> list[dict[str, str]]:
    """Return the files that were stored when the form was sent before."""
    found = (_KEPT.fullmatch(value) for value in form.getlist("kept") if isinstance(value, str))
    return [{"sha256": one[1], "name": one[2]} for one in found if one]


def stored(visit: Visit, kept: list[dict[str, str]], there: Sequence[Mapping[str, str]] = ()) -> Refusal | None:
    """Store the files that came with a form, after those that are `kept` already; return why that was refused.

    A file that is there already, whatever it is called, is left out and said: two names are no two proofs. `there` is
    what the result itself has been given before.
    """

    def work() -> None:
        twice = []
        for item in store_files(visit):
            same = next((one for one in (*kept, *there) if one.get("sha256") == item["sha256"]), None)
            if same is None:
                kept.append(item)
            else:
                twice.append(f"{item['name']} = {same['name']}")
        if twice:
            files = ", ".join(twice)
            message = T_("the same file, byte for byte, is kept once: %(files)s; send the form again", files=files)
            raise ProblemError(422, "invalid", message, "evidence")

    return visit.attempt(work)


def on_the_form(refused: Refusal) -> Refusal:
    """Return a refusal that blames a field of the form: a value of the details, else the part as a whole."""
    field = refused.field or ""
    if field == "natural_key":
        # It is made of several fields; those beside the other claim say which.
        return replace(refused, field=None)
    blamed = field.replace(".", "_") if field.startswith("details.") else field.partition(".")[0]
    return replace(refused, field=blamed or None)
