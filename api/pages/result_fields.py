"""What the form of a result asks for, figure by figure, and what each figure counts, in words.

In: nothing. Out: the fields of each figure's details in the order in which people think of them, and texts of the
catalogue. It exists because `matcher.ledger.details` says what is valid, not how to ask for it; a test holds the two
together, so that no figure asks for more or less than its details take.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from api.pages.wording import N_
from indexer.vocabulary import Tier
from matcher.ledger.details import Aspect, Gender, InternationalBasis, PayerType, Purpose
from matcher.ledger.kpis import Kpi


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
        N_("A case that others can follow, judged on six aspects, each with something that speaks for it."),
        N_("A case counts once, by its reference."),
        N_("sales, profit, saved cost, a new industry or a new market, with figures"),
    ),
}
"""What each figure that is reported counts."""
