"""Who may do what: one table of role × resource × action, and how far it reaches.

In: roles. Out: for each resource and action the reach of each role, and of
everybody who is signed in, with or without a role. It exists as the only place
where a permission is written down: routes name a resource and an action, and an
application with a route that names none does not start.

Reach: `OWN` is the person, what the person asked for, and what the person's own
company or lab has, `ALLIANCE` what the own alliance has or what was shared with
it, `RELEASED` what was made known to the person's company or lab, `ALL` everything.
"""

from __future__ import annotations

from enum import StrEnum

from matcher.review.people import Principal
from matcher.review.roles import STAFF, Role


class Reach(StrEnum):
    """How far a permission goes."""

    OWN = "own"
    ALLIANCE = "alliance"
    RELEASED = "released"
    ALL = "all"


class Everybody(StrEnum):
    """Who needs no role: it stands in the table beside the roles."""

    SIGNED_IN = "signed_in"


class Resource(StrEnum):
    """What is protected."""

    NEED = "need"
    MATCH = "match"
    PORTFOLIO = "portfolio"
    PAIRING = "pairing"
    EXPOSURE = "exposure"
    REACH = "reach"
    CASE = "case"
    CONVERSATION = "conversation"
    MEETING = "meeting"
    CALENDAR = "calendar"
    ATTACHMENT = "attachment"
    LAB = "lab"
    COMPANY = "company"
    COMPANY_NAME = "company_name"
    CLIENT_REQUEST = "client_request"
    VISIT = "visit"
    CONTACT = "contact"
    EXPERT = "expert"
    QUEUE = "queue"
    AGENDA = "agenda"
    SAVED_VIEW = "saved_view"
    RELEASED_LAB = "released_lab"
    LAB_QUESTION = "lab_question"
    SHORTLIST = "shortlist"
    LOGO = "logo"
    STAKE = "stake"
    ACCOUNT = "account"
    IMPORT = "import"
    DRAFT = "draft"
    IMPORT_DRAFT = "import_draft"
    JOB = "job"
    JOB_RESULT = "job_result"
    GENERATION = "generation"
    NIGHT = "night"
    PROFILE = "profile"
    KEY = "key"
    SESSION = "session"
    SECOND_FACTOR = "second_factor"
    CLAIM = "claim"
    DEMAND = "demand"
    LAB_NAME = "lab_name"
    SEARCH = "search"
    SCHOOL = "school"
    ALLIANCE = "alliance"
    FIELD_MAP = "field_map"
    ENTRY = "entry"
    EVIDENCE = "evidence"
    PERSON = "person"
    MOTION = "motion"
    SCHOOL_TOTAL = "school_total"
    EXTERNAL_CLAIM = "external_claim"
    PROBE = "probe"
    MONTH = "month"
    PERIOD = "period"
    LEDGER_HEAD = "ledger_head"
    FIGURE = "figure"
    REPORT = "report"
    STANDING = "standing"
    LADDER = "ladder"
    MONEY_ROW = "money_row"
    SUFFICIENCY = "sufficiency"
    POINT = "point"
    GENDER_FIGURE = "gender_figure"
    PROGRAMME_GENDER = "programme_gender"
    CONFIGURATION = "configuration"
    AUDIT = "audit"
    JUDGING = "judging"
    RECORD = "record"
    NOTICE = "notice"
    FEED = "feed"
    WEBHOOK = "webhook"
    WEBHOOK_HOST = "webhook_host"
    MAIL = "mail"


class Action(StrEnum):
    """What is done with it."""

    READ = "read"
    LIST = "list"
    CREATE = "create"
    EDIT = "edit"
    TAKE_UP = "take_up"
    SHARE = "share"
    ASSIGN = "assign"
    WITHDRAW = "withdraw"
    DECIDE = "decide"
    RELEASE = "release"
    MOVE = "move"
    CONTACT = "contact"
    ANSWER = "answer"
    BREAK_GLASS = "break_glass"
    REGISTER = "register"
    CANCEL = "cancel"
    CHECK = "check"
    RETURN = "return"
    REFUSE = "refuse"
    TELL_APART = "tell_apart"
    SUPPLEMENT = "supplement"
    RECOGNISE = "recognise"
    REVERSE = "reverse"
    SECOND = "second"
    DROP = "drop"
    END = "end"
    CLOSE = "close"
    GRADE = "grade"
    SETTLE = "settle"
    HAND_ON = "hand_on"


Holder = Role | Everybody


def _staff(reach: Reach) -> dict[Holder, Reach]:
    return dict.fromkeys(STAFF, reach)


def _everybody(reach: Reach) -> dict[Holder, Reach]:
    return dict.fromkeys((Everybody.SIGNED_IN, *Role), reach)


_OFFICE: dict[Holder, Reach] = {Role.OFFICE: Reach.ALL}
_OWN_LISTS: dict[Holder, Reach] = _staff(Reach.OWN) | {Role.OFFICE: Reach.OWN}
_COMMITTEE: dict[Holder, Reach] = {Role.COMMITTEE: Reach.ALLIANCE}
_BOTH_SIDES: dict[Holder, Reach] = {Role.COMPANY: Reach.RELEASED, Role.RESEARCHER: Reach.RELEASED}
_ATTACHING: dict[Holder, Reach] = _staff(Reach.ALLIANCE) | {Role.COMPANY: Reach.OWN, Role.RESEARCHER: Reach.RELEASED}
_LEAD: dict[Holder, Reach] = {Role.LEAD: Reach.ALLIANCE}
_JOB: dict[Holder, Reach] = {Role.JOB: Reach.ALL}
_READERS = _staff(Reach.ALLIANCE) | _COMMITTEE | _OFFICE
"""Who reads the ledger: alliances and committees what they have a share in, the office all of it."""

POLICY: dict[tuple[Resource, Action], dict[Holder, Reach]] = {
    (Resource.NEED, Action.CREATE): _staff(Reach.ALLIANCE) | {Role.COMPANY: Reach.OWN},
    (Resource.NEED, Action.READ): _staff(Reach.ALLIANCE)
    | _OFFICE
    | {Role.COMPANY: Reach.OWN, Role.RESEARCHER: Reach.RELEASED},
    (Resource.NEED, Action.LIST): _staff(Reach.ALLIANCE)
    | _OFFICE
    | {Role.COMPANY: Reach.OWN, Role.RESEARCHER: Reach.RELEASED},
    (Resource.NEED, Action.EDIT): _staff(Reach.ALLIANCE) | {Role.COMPANY: Reach.OWN},
    (Resource.NEED, Action.WITHDRAW): _staff(Reach.ALLIANCE) | {Role.COMPANY: Reach.OWN},
    (Resource.NEED, Action.CHECK): _staff(Reach.ALLIANCE),
    (Resource.NEED, Action.SETTLE): _staff(Reach.ALLIANCE),
    (Resource.NEED, Action.TAKE_UP): _staff(Reach.ALLIANCE),
    (Resource.NEED, Action.HAND_ON): _staff(Reach.ALLIANCE),
    (Resource.NEED, Action.SHARE): _staff(Reach.ALLIANCE) | _OFFICE,
    (Resource.NEED, Action.ASSIGN): _OFFICE,
    (Resource.NEED, Action.BREAK_GLASS): _OFFICE,
    (Resource.MATCH, Action.READ): _staff(Reach.ALLIANCE),
    (Resource.MATCH, Action.EDIT): _staff(Reach.ALLIANCE),
    # Whom to give what is a lead's to weigh: an expert sees the plan's rows where they are, on the need.
    (Resource.PORTFOLIO, Action.CREATE): _LEAD | _OFFICE,
    (Resource.PORTFOLIO, Action.LIST): _LEAD | _OFFICE,
    (Resource.PORTFOLIO, Action.READ): _LEAD | _OFFICE,
    (Resource.PAIRING, Action.READ): _staff(Reach.ALLIANCE) | _OFFICE,
    (Resource.PAIRING, Action.DECIDE): _staff(Reach.ALLIANCE),
    (Resource.PAIRING, Action.RELEASE): _staff(Reach.ALLIANCE),
    (Resource.EXPOSURE, Action.READ): _staff(Reach.ALLIANCE) | _OFFICE,
    # Who was seen over all alliances, and what a rule would do to them, is for who sets the rule.
    (Resource.REACH, Action.READ): _OFFICE,
    (Resource.RELEASED_LAB, Action.LIST): _staff(Reach.ALLIANCE) | _OFFICE | {Role.COMPANY: Reach.OWN},
    # What a lab lacks for a need quotes the need, so it is for who works on that; the lab learns of its question alone.
    (Resource.LAB_QUESTION, Action.READ): _staff(Reach.ALLIANCE),
    (Resource.LAB_QUESTION, Action.CREATE): _staff(Reach.ALLIANCE),
    (Resource.LAB_QUESTION, Action.LIST): {Role.RESEARCHER: Reach.OWN},
    (Resource.LAB_QUESTION, Action.ANSWER): {Role.RESEARCHER: Reach.OWN},
    # What leaves the house is the alliance's that works on the need; whoever has a link to it needs no role.
    (Resource.SHORTLIST, Action.CREATE): _staff(Reach.ALLIANCE),
    (Resource.SHORTLIST, Action.READ): _staff(Reach.ALLIANCE),
    (Resource.SHORTLIST, Action.LIST): _staff(Reach.ALLIANCE),
    (Resource.SHORTLIST, Action.EDIT): _staff(Reach.ALLIANCE),
    (Resource.SHORTLIST, Action.SHARE): _staff(Reach.ALLIANCE),
    (Resource.SHORTLIST, Action.END): _staff(Reach.ALLIANCE),
    (Resource.LOGO, Action.READ): _everybody(Reach.ALL),
    (Resource.LOGO, Action.EDIT): _LEAD | _OFFICE,
    (Resource.CASE, Action.READ): _staff(Reach.ALLIANCE) | _OFFICE,
    (Resource.CASE, Action.LIST): _staff(Reach.ALLIANCE) | _OFFICE,
    (Resource.CASE, Action.MOVE): _staff(Reach.ALLIANCE),
    (Resource.CASE, Action.CONTACT): _staff(Reach.ALLIANCE),
    (Resource.CASE, Action.HAND_ON): _staff(Reach.ALLIANCE),
    # The office has no part in it: what the parties write to each other may say all that a need says.
    (Resource.CONVERSATION, Action.READ): _staff(Reach.ALLIANCE) | _BOTH_SIDES,
    (Resource.CONVERSATION, Action.CREATE): _staff(Reach.ALLIANCE) | _BOTH_SIDES,
    (Resource.CONVERSATION, Action.ANSWER): _BOTH_SIDES,
    (Resource.CONVERSATION, Action.RELEASE): _staff(Reach.ALLIANCE),
    **{
        (Resource.MEETING, action): _staff(Reach.ALLIANCE) | _BOTH_SIDES
        for action in (Action.LIST, Action.READ, Action.CREATE, Action.DECIDE, Action.EDIT, Action.END)
    },
    # A file is read by whoever reads what it hangs on. No glass is broken for one, so the office reads none.
    (Resource.ATTACHMENT, Action.LIST): _ATTACHING,
    (Resource.ATTACHMENT, Action.READ): _ATTACHING,
    (Resource.ATTACHMENT, Action.CREATE): _ATTACHING,
    (Resource.ATTACHMENT, Action.END): _ATTACHING,
    (Resource.CALENDAR, Action.READ): _everybody(Reach.OWN),
    (Resource.CALENDAR, Action.CREATE): _everybody(Reach.OWN),
    (Resource.CALENDAR, Action.END): _everybody(Reach.OWN),
    (Resource.LAB, Action.READ): _staff(Reach.ALL) | _OFFICE | {Role.RESEARCHER: Reach.OWN},
    (Resource.LAB, Action.LIST): _staff(Reach.ALL) | _OFFICE | {Role.RESEARCHER: Reach.OWN},
    (Resource.LAB, Action.EDIT): {Role.RESEARCHER: Reach.OWN},
    (Resource.DEMAND, Action.READ): {Role.RESEARCHER: Reach.OWN},
    (Resource.FIELD_MAP, Action.READ): _staff(Reach.ALLIANCE) | _OFFICE,
    (Resource.COMPANY, Action.LIST): _staff(Reach.ALLIANCE) | _OFFICE | {Role.COMPANY: Reach.OWN},
    (Resource.COMPANY, Action.READ): _staff(Reach.ALLIANCE) | _OFFICE | {Role.COMPANY: Reach.OWN},
    (Resource.COMPANY, Action.CONTACT): _staff(Reach.ALLIANCE),
    (Resource.COMPANY, Action.TAKE_UP): _staff(Reach.ALL),
    (Resource.COMPANY, Action.END): _staff(Reach.ALLIANCE),
    # What a company answers before a visit, and what was found there, is for the alliance that goes there.
    **{
        (Resource.VISIT, action): _staff(Reach.ALLIANCE)
        for action in (Action.LIST, Action.READ, Action.CREATE, Action.EDIT, Action.MOVE)
    },
    # Taking on another alliance's company asks that alliance or the company; who asks never answers.
    (Resource.CLIENT_REQUEST, Action.LIST): _staff(Reach.ALLIANCE) | _OFFICE | {Role.COMPANY: Reach.OWN},
    (Resource.CLIENT_REQUEST, Action.DECIDE): _staff(Reach.ALLIANCE) | {Role.COMPANY: Reach.OWN},
    (Resource.CLIENT_REQUEST, Action.END): _staff(Reach.ALLIANCE),
    # Whoever may take a company on must be able to find it, by its name and nothing else.
    (Resource.COMPANY_NAME, Action.LIST): _staff(Reach.ALL),
    (Resource.CONTACT, Action.LIST): _staff(Reach.ALLIANCE) | _OFFICE,
    (Resource.EXPERT, Action.LIST): _staff(Reach.ALLIANCE),
    (Resource.QUEUE, Action.READ): _staff(Reach.ALLIANCE),
    # What somebody put off, and the views of lists that somebody keeps, are their own alone.
    (Resource.QUEUE, Action.EDIT): _staff(Reach.ALLIANCE),
    (Resource.SAVED_VIEW, Action.LIST): _everybody(Reach.OWN),
    (Resource.SAVED_VIEW, Action.CREATE): _everybody(Reach.OWN),
    (Resource.SAVED_VIEW, Action.END): _everybody(Reach.OWN),
    # What waits for a role; each kind of it is shown to whom its own page is.
    (Resource.AGENDA, Action.READ): _READERS,
    # An alliance brings in needs, companies, and labs of its schools as long as no researcher keeps them
    # (`ownership`). To register schools, alliances and terms is the office's.
    (Resource.IMPORT, Action.CREATE): _staff(Reach.ALLIANCE) | _OFFICE,
    (Resource.IMPORT, Action.REGISTER): _OFFICE,
    # Reading a document keeps nothing; what an alliance takes down for a company is a need of its own.
    (Resource.DRAFT, Action.READ): _staff(Reach.ALLIANCE) | _OFFICE,
    (Resource.DRAFT, Action.CREATE): _staff(Reach.ALLIANCE),
    # A list that is being looked through is for who sent it, the office's own too: it may hold texts in confidence.
    (Resource.IMPORT_DRAFT, Action.CREATE): _OWN_LISTS,
    (Resource.IMPORT_DRAFT, Action.LIST): _OWN_LISTS,
    (Resource.IMPORT_DRAFT, Action.READ): _OWN_LISTS,
    (Resource.IMPORT_DRAFT, Action.EDIT): _OWN_LISTS,
    (Resource.IMPORT_DRAFT, Action.END): _OWN_LISTS,
    (Resource.JOB, Action.LIST): _staff(Reach.OWN) | _OFFICE,
    (Resource.JOB, Action.READ): _staff(Reach.OWN) | _OFFICE,
    (Resource.JOB, Action.CANCEL): _staff(Reach.OWN) | _OFFICE,
    # The office reads results that hold ids only; what an import says of a file, only who sent it.
    (Resource.JOB_RESULT, Action.READ): _staff(Reach.OWN) | _OFFICE,
    (Resource.GENERATION, Action.LIST): _staff(Reach.ALL) | _OFFICE | _JOB,
    # What the nightly job reports names ids of all alliances.
    (Resource.NIGHT, Action.LIST): _OFFICE | _JOB,
    (Resource.NIGHT, Action.READ): _OFFICE | _JOB,
    (Resource.PROFILE, Action.READ): _everybody(Reach.OWN),
    (Resource.PROFILE, Action.EDIT): _everybody(Reach.OWN),
    (Resource.STAKE, Action.CREATE): _everybody(Reach.OWN),
    (Resource.STAKE, Action.END): _OFFICE,
    (Resource.KEY, Action.LIST): _everybody(Reach.OWN),
    (Resource.KEY, Action.CREATE): _everybody(Reach.OWN),
    (Resource.KEY, Action.EDIT): _everybody(Reach.OWN),
    (Resource.KEY, Action.END): _everybody(Reach.OWN),
    (Resource.SESSION, Action.LIST): _everybody(Reach.OWN),
    (Resource.SESSION, Action.END): _everybody(Reach.OWN),
    (Resource.SECOND_FACTOR, Action.READ): _everybody(Reach.OWN),
    (Resource.SECOND_FACTOR, Action.CREATE): _everybody(Reach.OWN),
    (Resource.SECOND_FACTOR, Action.CHECK): _everybody(Reach.OWN),
    (Resource.SECOND_FACTOR, Action.EDIT): _everybody(Reach.OWN),
    (Resource.SECOND_FACTOR, Action.END): _everybody(Reach.OWN),
    # What somebody is told of, and how: their own alone. Whom the server may call is the office's to say.
    (Resource.NOTICE, Action.LIST): _everybody(Reach.OWN),
    (Resource.NOTICE, Action.EDIT): _everybody(Reach.OWN),
    (Resource.FEED, Action.CREATE): _everybody(Reach.OWN),
    (Resource.FEED, Action.END): _everybody(Reach.OWN),
    (Resource.WEBHOOK, Action.LIST): _everybody(Reach.OWN),
    (Resource.WEBHOOK, Action.CREATE): _everybody(Reach.OWN),
    (Resource.WEBHOOK, Action.END): _everybody(Reach.OWN),
    (Resource.WEBHOOK_HOST, Action.LIST): _everybody(Reach.ALL),
    (Resource.WEBHOOK_HOST, Action.CREATE): _OFFICE,
    (Resource.WEBHOOK_HOST, Action.END): _OFFICE,
    (Resource.MAIL, Action.LIST): _OFFICE,
    (Resource.MAIL, Action.EDIT): _OFFICE,
    (Resource.LAB_NAME, Action.LIST): _everybody(Reach.ALL),
    # Each kind is found by whoever its own list is for.
    (Resource.SEARCH, Action.LIST): _everybody(Reach.ALL),
    # Who the schools are, and which alliance they are in, is the programme's public list.
    (Resource.SCHOOL, Action.LIST): _staff(Reach.ALL) | {Role.COMMITTEE: Reach.ALL} | _OFFICE,
    (Resource.ALLIANCE, Action.LIST): _staff(Reach.ALL) | {Role.COMMITTEE: Reach.ALL} | _OFFICE,
    (Resource.CLAIM, Action.CREATE): _everybody(Reach.ALL),
    (Resource.CLAIM, Action.LIST): _everybody(Reach.OWN),
    (Resource.CLAIM, Action.DECIDE): _OFFICE | {Role.LEAD: Reach.ALLIANCE},
    (Resource.ACCOUNT, Action.LIST): _OFFICE,
    (Resource.ACCOUNT, Action.READ): _OFFICE,
    (Resource.ACCOUNT, Action.CREATE): _OFFICE,
    (Resource.ACCOUNT, Action.EDIT): _OFFICE,
    (Resource.EVIDENCE, Action.CREATE): _staff(Reach.ALLIANCE),
    (Resource.EVIDENCE, Action.READ): _READERS,
    (Resource.PERSON, Action.CREATE): _staff(Reach.ALLIANCE),
    (Resource.ENTRY, Action.CREATE): _staff(Reach.ALLIANCE),
    (Resource.ENTRY, Action.READ): _READERS,
    (Resource.ENTRY, Action.LIST): _READERS,
    (Resource.ENTRY, Action.SUPPLEMENT): _staff(Reach.ALLIANCE),
    (Resource.ENTRY, Action.WITHDRAW): _staff(Reach.ALLIANCE),
    (Resource.ENTRY, Action.CHECK): _COMMITTEE,
    (Resource.ENTRY, Action.RETURN): _COMMITTEE | _OFFICE,
    (Resource.ENTRY, Action.REFUSE): _COMMITTEE | _OFFICE,
    (Resource.ENTRY, Action.RECOGNISE): _OFFICE,
    (Resource.ENTRY, Action.TELL_APART): _OFFICE,
    (Resource.ENTRY, Action.REVERSE): _OFFICE,
    (Resource.MOTION, Action.LIST): _COMMITTEE | _OFFICE,
    (Resource.MOTION, Action.SECOND): _COMMITTEE | _OFFICE,
    (Resource.MOTION, Action.DROP): _COMMITTEE | _OFFICE,
    (Resource.SCHOOL_TOTAL, Action.LIST): _staff(Reach.ALL) | {Role.COMMITTEE: Reach.ALL} | _OFFICE,
    (Resource.SCHOOL_TOTAL, Action.CREATE): _OFFICE,
    (Resource.EXTERNAL_CLAIM, Action.LIST): _OFFICE,
    (Resource.EXTERNAL_CLAIM, Action.CREATE): _OFFICE,
    (Resource.EXTERNAL_CLAIM, Action.END): _OFFICE,
    # Who reports look-alikes of others' entries again and again may be asking what they say.
    (Resource.PROBE, Action.LIST): _OFFICE,
    # The month is the alliance's own word: its lead gives it, its experts and its committee read it.
    (Resource.MONTH, Action.LIST): _READERS,
    (Resource.MONTH, Action.READ): _READERS,
    (Resource.MONTH, Action.CREATE): _LEAD,
    (Resource.PERIOD, Action.LIST): _staff(Reach.ALL) | {Role.COMMITTEE: Reach.ALL} | _OFFICE,
    (Resource.PERIOD, Action.CLOSE): _OFFICE,
    (Resource.LEDGER_HEAD, Action.READ): _staff(Reach.ALL) | {Role.COMMITTEE: Reach.ALL} | _OFFICE | _JOB,
    (Resource.FIGURE, Action.READ): _READERS | _JOB,
    (Resource.REPORT, Action.READ): _READERS,
    (Resource.REPORT, Action.LIST): _READERS,
    (Resource.STANDING, Action.READ): _READERS,
    (Resource.LADDER, Action.CREATE): _OFFICE,
    (Resource.MONEY_ROW, Action.CREATE): _LEAD | _OFFICE,
    (Resource.MONEY_ROW, Action.REVERSE): _LEAD | _OFFICE,
    (Resource.SUFFICIENCY, Action.READ): _READERS,
    (Resource.POINT, Action.READ): _READERS,
    (Resource.POINT, Action.CREATE): _staff(Reach.ALLIANCE),
    (Resource.POINT, Action.REVERSE): _staff(Reach.ALLIANCE),
    # Exact numbers never leave their alliance. Who knows one alliance's exactly may compute another's from what is
    # printed of all, so alliances do not read the programme's.
    (Resource.GENDER_FIGURE, Action.CREATE): _staff(Reach.ALLIANCE),
    (Resource.GENDER_FIGURE, Action.READ): _staff(Reach.ALLIANCE),
    (Resource.PROGRAMME_GENDER, Action.READ): _OFFICE | {Role.COMMITTEE: Reach.ALL},
    (Resource.CONFIGURATION, Action.LIST): _staff(Reach.ALL) | {Role.COMMITTEE: Reach.ALL} | _OFFICE,
    (Resource.CONFIGURATION, Action.READ): _staff(Reach.ALL) | {Role.COMMITTEE: Reach.ALL} | _OFFICE,
    (Resource.CONFIGURATION, Action.EDIT): _OFFICE,
    # Judges grade what they may read anyway; the office learns how far they agree, and none of the texts.
    (Resource.JUDGING, Action.CREATE): _OFFICE,
    (Resource.JUDGING, Action.LIST): _staff(Reach.OWN) | _OFFICE,
    (Resource.JUDGING, Action.READ): _staff(Reach.OWN) | _OFFICE,
    (Resource.JUDGING, Action.GRADE): _staff(Reach.OWN),
    (Resource.JUDGING, Action.SETTLE): _staff(Reach.OWN),
    (Resource.JUDGING, Action.ASSIGN): _OFFICE,
    (Resource.JUDGING, Action.CLOSE): _OFFICE,
    # What is retired or merged goes out of everybody's sight: the office's to do, for all alliances alike.
    (Resource.RECORD, Action.LIST): _OFFICE,
    (Resource.RECORD, Action.READ): _OFFICE,
    (Resource.RECORD, Action.EDIT): _OFFICE,
    (Resource.RECORD, Action.END): _OFFICE,
    # The whole trail is the office's; a lead sees what was seen and done of the own alliance's needs.
    (Resource.AUDIT, Action.LIST): _LEAD | _OFFICE,
    # "In confidence" is a promise that a company can look after: who met its need, day by day.
    (Resource.AUDIT, Action.READ): _staff(Reach.ALLIANCE) | _OFFICE | {Role.COMPANY: Reach.OWN},
}
"""For each resource and action: which role reaches how far. What is not here, nobody may do."""


PERSON_ONLY: frozenset[tuple[Resource, Action]] = frozenset(
    {
        (Resource.ENTRY, Action.CHECK),
        (Resource.ENTRY, Action.RETURN),
        (Resource.ENTRY, Action.REFUSE),
        (Resource.ENTRY, Action.TELL_APART),
        (Resource.ENTRY, Action.RECOGNISE),
        (Resource.MOTION, Action.SECOND),
        (Resource.ACCOUNT, Action.CREATE),
        (Resource.ACCOUNT, Action.EDIT),
        (Resource.CLAIM, Action.DECIDE),
        (Resource.STAKE, Action.END),
    }
)
"""What no key does, only a person who proved to be there a moment ago: deciding on results, seconding, granting.

Who else must have acted before, and who is no second person, is written in `matcher.ledger.rules.duties`.
"""

BEFORE_SECOND_FACTOR = frozenset(
    {
        (Resource.SECOND_FACTOR, Action.READ),
        (Resource.SECOND_FACTOR, Action.CREATE),
        (Resource.SECOND_FACTOR, Action.CHECK),
    }
)
"""All that a session opens whose second factor was not shown yet, or is still to be set up."""


def admits(principal: Principal, resource: Resource, action: Action) -> bool:
    """Whether a person may do this to anything at all, by a role or as everybody who is signed in."""
    allowed = POLICY.get((resource, action), {})
    return Everybody.SIGNED_IN in allowed or bool(reaches(principal, resource, action))


def reaches(principal: Principal, resource: Resource, action: Action) -> dict[Role, Reach]:
    """Return how far each role that a person holds reaches; empty if none may do it."""
    allowed = POLICY.get((resource, action), {})
    return {role: reach for role, reach in allowed.items() if isinstance(role, Role) and principal.holds(role)}


def rights_of(principal: Principal, resource: Resource, action: Action) -> str:
    """Return the roles with their scopes by which a person may do this, such as `expert al-a, lead al-a`."""
    roles = reaches(principal, resource, action)
    held = sorted(f"{role.value} {scope}".strip() for role, scope in principal.grants if role in roles)
    return ", ".join(held) or Everybody.SIGNED_IN.value
