"""A handout as HTML, and as the draft of a mail that a person sends.

In: a handout, a language; for a draft whom it is from and to. Out: the body of a page, or a message with plain text
and HTML that mail programs open as a draft of their own. It exists so that the mail goes out under the expert's own
address, from the expert's own program, after the expert has read it: nothing is sent from here. Every text goes
through the template's escaping, an address leads nowhere but to a DOI, an ORCID iD or a link of the lab's own.
"""

from __future__ import annotations

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from indexer.wording import Text
from matcher.handouts.handout import Handout, initials_of, lines_of
from matcher.handouts.paper import GOES_THROUGH
from matcher.ledger.rendering.report_texts import LANG_TAGS, ReportLanguage, writable

_TEMPLATES = Path(__file__).parent / "templates"
_LOGO = "logo@handout"


def render_body(
    handout: Handout, language: ReportLanguage, *, logo_address: str = "", own_heading: str = "h2"
) -> Markup:
    """Return the HTML of a handout, to stand within a page.

    Args:
        handout: what is shown.
        language: one or both.
        logo_address: where the page finds the alliance's logo; empty shows its initials.
        own_heading: the element of a lab's name; parts stand one level below.
    """
    below = {"h1": "h2", "h2": "h3"}[own_heading]
    text = _template("handout.html").render(
        handout=handout,
        lines=lambda one: lines_of(one, language),
        letters=initials_of,
        logo_address=logo_address,
        heading=own_heading,
        below=below,
        notes=handout.notes or (GOES_THROUGH,),
    )
    return Markup(text)  # noqa: S704 (made by a template that escapes every value)


def mail_draft(
    handout: Handout, language: ReportLanguage, *, sender: tuple[str, str], to: str, link: str, now: datetime
) -> bytes:
    """Return a message that opens as a draft.

    Args:
        handout: what is said.
        language: one or both.
        sender: name and address of the expert.
        to: the address of whom it is for; empty leaves that to the expert.
        link: the address of a public link to the same, empty for none.
        now: the moment.
    """
    message = EmailMessage(policy=SMTP)
    name, address = sender
    local, _, domain = address.partition("@")
    message["From"] = Address(writable(name).replace("\n", " "), local, domain)
    if to:
        message["To"] = to
    message["Subject"] = " ".join(line for _, line in lines_of(handout.title, language))[:200]
    message["Date"] = format_datetime(now)
    # Outlook and others open a message with this line as one still to be sent.
    message["X-Unsent"] = "1"
    message.set_content(plain_text(handout, language, link=link))
    body = render_body(handout, language, logo_address=f"cid:{_LOGO}" if handout.logo else "")
    page = _template("mail.html").render(
        lang=LANG_TAGS[language],
        title=message["Subject"],
        style=Markup((_TEMPLATES / "mail.css").read_text("utf-8")),  # noqa: S704 (a file of ours)
        body=body,
        link=link,
    )
    message.add_alternative(page, subtype="html")
    if handout.logo:
        html: Any = message.get_payload()[1]  # type: ignore[index]
        html.add_related(handout.logo, "image", "png", cid=f"<{_LOGO}>", filename="logo.png", disposition="inline")
    return message.as_bytes()


def plain_text(handout: Handout, language: ReportLanguage, *, link: str = "") -> str:
    """Return a handout as plain text, for mail programs that show no HTML and for who reads with their ears."""

    def said(text: Text) -> list[str]:
        return [line for _, line in lines_of(text, language)]

    out = [*handout.words, "", *said(handout.about)]
    if link:
        out += ["", link]
    for number, section in enumerate(handout.sections, start=1):
        out += ["", "-" * 40, f"{number}. " + " ".join(said(section.name)), *said(section.school), *said(section.head)]
        for part in section.parts:
            out += ["", "■ " + " ".join(said(part.title))]
            out += [line for one in part.paragraphs for line in said(one)]
            for point in part.points:
                out += said(point.text)
                for quote in point.quotes:
                    out.append("  > " + " ".join(filter(None, [quote.title, f"({' '.join(said(quote.source))})"])))
                    out += [f"  > {one}" for one in (quote.excerpt, quote.address) if one]
            for fact in part.facts:
                values = "; ".join(" ".join(said(value)) for value in fact.values)
                out.append(f"{' '.join(said(fact.label))}: {values}")
    out += ["", "-" * 40, *(line for one in handout.contact for line in said(one))]
    out += [line for one in handout.notes or (GOES_THROUGH,) for line in said(one)]
    return writable("\n".join(out).strip() + "\n")


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
