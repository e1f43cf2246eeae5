"""One letter as a mail: what its reader may be told at this moment, in the languages that they chose, plain and HTML.

In: a letter with its notices, the settings. Out: the message, or nothing where nothing is left to tell: the reader is
shut out, may no longer know, unsubscribed meanwhile, or the address refuses mail. It exists so that what is
confidential never waits in an outbox: only ids do. The sentences name nothing that is asked or offered; a company and a
lab read which alliance writes and how to reach its expert, and answer to that expert. The title of a need is added only
for who chose that, and then the audit trail has it. Every mail that somebody may turn off says how, also to mail
programs (RFC 8058): those send a POST, and a GET changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape
from sqlmodel import Session

from api.letters.caring import Writer, writer_of
from api.letters.enclosing import ENCLOSURES, Enclosed, Enclosure, OfferedLink
from api.letters.knowing import knowable, titles_of_needs
from api.letters.sending.night_letter import night_message
from api.letters.sending.smtp import sender_of
from api.letters.sentences import sentence
from api.letters.signed_links import LinkSigner
from api.trail.audit_trail import Subject
from api.trail.nights import read_night
from indexer.instants import TAIPEI
from indexer.settings import Settings
from indexer.wording import T_, Language, Text, either, said
from matcher.notices.kinds import KINDS, Cadence, NoticeKind
from matcher.notices.outbox import Notice, cadences
from matcher.notices.readers import MailAddress, MailLanguage, NoticeReader, reader_of
from matcher.notices.sending import Claim
from matcher.review.people import Account, principal
from matcher.review.roles import STAFF, Role

TEMPLATES = Path(__file__).parents[2] / "templates"
UNSUBSCRIBE = "unsubscribe"
UNSUBSCRIBE_HOLDS_FOR = timedelta(days=365)
_WHY = T_("GLORIA Match tells you this because of your part in it. Nothing confidential stands in this mail.")
_WHY_ALWAYS = T_("GLORIA Match tells you this so that nobody acts in your name unknown to you.")
_WHY_TITLED = T_(
    "GLORIA Match tells you this because of your part in it. The title of a need stands here since you chose so: do "
    "not pass it on."
)
_INSIDE = (*STAFF, Role.OFFICE, Role.COMMITTEE)
"""Whoever holds one of these knows who works on what; all others are told who writes to them."""
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


@dataclass
class Composed:
    """A mail and whom it goes to; `shown` are the needs whose titles it has, for the audit trail."""

    to: str
    message: EmailMessage
    shown: set[Subject] = field(default_factory=set)

    def reads(self, need_id: str, *, withheld: bool = False) -> None:
        """Note that the mail shows a need."""
        self.shown.add(Subject("need", need_id, withheld))


@dataclass(frozen=True)
class _Item:
    """One notice as a mail tells it."""

    said: Text
    at: Text
    title: str | None
    links: tuple[OfferedLink, ...]
    writer: Writer | None


def composed(
    session: Session, claim: Claim, *, settings: Settings, signer: LinkSigner, now: datetime
) -> Composed | None:
    """Return a letter as a mail, None if nothing is left that its reader may be told."""
    account = session.get(Account, claim.letter.reader)
    address = claim.letter.reader if account is None else account.email
    if claim.notices and claim.notices[0].kind == NoticeKind.NIGHT_REPORT.value:
        return _night_report(claim, settings)
    if "@" not in address or not _takes_mail(session, address, claim):
        return None
    who = None if account is None else principal(session, account.id)
    reader = NoticeReader(account_id="") if account is None else reader_of(session, account.id)
    # Somebody without an account has no standing that could change: what they are sent was decided when it was told.
    known = claim.notices if account is None else () if who is None else knowable(session, who, claim.notices)
    told = [one for one in known if _still_wanted(session, one)]
    if not told:
        return None
    made = Composed(address, EmailMessage())
    titles = titles_of_needs(session, who, told, to=made) if who is not None and reader.names_needs else {}
    enclosed = [_enclosed(session, one, signer, now) for one in told]
    is_outside = who is None or not who.holds(*_INSIDE)
    items = [
        _Item(
            sentence(one),
            moment(one.at),
            titles.get(one.facts.get("need", "")),
            _links(one, more),
            writer_of(session, one) if is_outside else None,
        )
        for one, more in zip(told, enclosed, strict=True)
    ]
    stop = _way_out(claim, told, signer, now)
    _write(made.message, items, reader, settings, stop)
    _head(made, items, reader, claim, settings, stop)
    for one in enclosed:
        for file in one.files:
            _attach(made.message, file)
    return made


def _night_report(claim: Claim, settings: Settings) -> Composed | None:
    """Return the report of a night as it ended, to an address of the settings; None once the night is forgotten."""
    night = read_night(settings.home, claim.notices[0].facts["night"])
    if night is None:
        return None
    made = Composed(claim.letter.reader, night_message(night))
    _envelope(made, claim, settings)
    return made


def _takes_mail(session: Session, address: str, claim: Claim) -> bool:
    known = session.get(MailAddress, address)
    if known is None:
        return True
    is_fixed = all(KINDS[NoticeKind(one.kind)].fixed for one in claim.notices)
    return known.refused_at is None and (known.unsubscribed_at is None or is_fixed)


def _still_wanted(session: Session, notice: Notice) -> bool:
    """Whether no choice was made meanwhile that ends mail of this kind."""
    kind = NoticeKind(notice.kind)
    return cadences(session, [notice.reader], kind)[notice.reader] is not Cadence.NEVER


def _enclosed(session: Session, notice: Notice, signer: LinkSigner, now: datetime) -> Enclosed:
    enclosing = ENCLOSURES.get(NoticeKind(notice.kind))
    return Enclosed() if enclosing is None else enclosing(session, notice, signer, now)


def _links(notice: Notice, enclosed: Enclosed) -> tuple[OfferedLink, ...]:
    if notice.account_id is None or not KINDS[NoticeKind(notice.kind)].on_page:
        return enclosed.links
    return (*enclosed.links, OfferedLink(T_("Open the page"), notice.place))


def _way_out(claim: Claim, told: Sequence[Notice], signer: LinkSigner, now: datetime) -> str | None:
    """Return the path by which mails of this kind (of this cadence, for a gathered letter) are turned off."""
    kinds = {NoticeKind(one.kind) for one in told}
    if any(KINDS[kind].fixed for kind in kinds):
        return None
    claims = {"reader": claim.letter.reader}
    if claim.letter.cadence == Cadence.AT_ONCE.value:
        claims["kind"] = min(kinds).value
    else:
        claims["cadence"] = claim.letter.cadence
    return f"/mail/unsubscribe/{signer.token(UNSUBSCRIBE, claims, now=now, holds_for=UNSUBSCRIBE_HOLDS_FOR)}"


def _head(
    made: Composed,
    items: Sequence[_Item],
    reader: NoticeReader,
    claim: Claim,
    settings: Settings,
    stop: str | None,
) -> None:
    message = made.message
    subject = items[0].said if len(items) == 1 else T_("%(n)s notices", n=len(items))
    message["Subject"] = "GLORIA Match: " + " / ".join(said(subject, one).rstrip("。.") for one in _languages(reader))
    _envelope(made, claim, settings)
    answered_by = {item.writer.email for item in items if item.writer is not None} - {""}
    if len(answered_by) == 1:
        # Whoever answers by their mail program reaches the expert, not a machine.
        message["Reply-To"] = answered_by.pop()
    if stop is not None:
        message["List-Unsubscribe"] = f"<{settings.address_of(stop)}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"


def _envelope(made: Composed, claim: Claim, settings: Settings) -> None:
    """Add what every mail has."""
    message, sender = made.message, sender_of(settings)
    message["From"], message["To"] = sender, made.to
    message["Date"] = format_datetime(claim.letter.made_at)
    message["Message-ID"] = f"<{claim.letter.uid}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"


def _languages(reader: NoticeReader) -> tuple[Language, ...]:
    chosen = MailLanguage(reader.language)
    return (Language.ZH, Language.EN) if chosen is MailLanguage.BOTH else (Language(chosen.value),)


def _write(
    message: EmailMessage, items: Sequence[_Item], reader: NoticeReader, settings: Settings, stop: str | None
) -> None:
    languages = _languages(reader)
    choices = None if stop is None or not reader.account_id else settings.address_of("/account/notices")
    values = {
        "items": items,
        "languages": [language.value for language in languages],
        "say": lambda text, language: said(text, Language(language)),
        "address_of": settings.address_of,
        "stop": None if stop is None else settings.address_of(stop),
        "choices": choices,
        "words": {
            "stop": T_("No more mail like this"),
            "choices": T_("Choose what you are told by mail"),
            "reach": T_("Reach them"),
            "why": _why(items, stop),
        },
    }
    message.set_content(_template("letter.txt").render(values))
    message.add_alternative(_template("letter.html").render(values), subtype="html")


def _why(items: Sequence[_Item], stop: str | None) -> Text:
    """Return why somebody gets a mail; what can't be turned off guards their own name."""
    if any(item.title for item in items):
        return _WHY_TITLED
    return _WHY_ALWAYS if stop is None else _WHY


def _attach(message: EmailMessage, file: Enclosure) -> None:
    main, _, sub = file.media_type.partition("/")
    parameters = {"method": file.method} if file.method else {}
    message.add_attachment(file.content, maintype=main, subtype=sub, filename=file.name, params=parameters)


def moment(at: datetime) -> Text:
    """Return a moment of Taipei in words: the year of the Republic in Chinese."""
    there = at.astimezone(TAIPEI)
    clock = f"{there:%H:%M}"
    return either(
        f"民國 {there.year - 1911} 年 {there.month} 月 {there.day} 日 {clock}",
        f"{there.day} {_MONTHS[there.month - 1]} {there.year}, {clock}",
    )


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES / "letters"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)
