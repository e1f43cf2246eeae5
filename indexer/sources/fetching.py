"""Fetching records from registers that have a public interface, as politely as they ask for.

In: a source and identifiers (ORCID iDs, DOIs, ROR ids, OpenAlex ids), who may be written to about it. Out: files as
the register wrote them, to be brought in like downloaded ones. It exists so that a school with a hundred researchers
need not download a hundred files by hand. It is never needed: without a network everything works from files.

Manners: one request at a time and no more than one a second to a register, a User-Agent with an address, a pause as
long as a register asks for (Retry-After), few tries, and what was fetched within a week is not fetched again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import orjson

from indexer.disk import write_whole
from indexer.plain_text import shown
from indexer.records.values import FieldError, doi, orcid, ror
from indexer.wording import T_

BETWEEN_S = 1.0
KEPT_S = 7 * 24 * 3600
TIMEOUT_S = 30.0
MAX_TRIES = 4
MAX_PAUSE_S = 120.0
"""A register that asks for a longer pause is asked again another day."""
MAX_PAGES = 50
MAX_BYTES = 64 * 2**20

Json = Mapping[str, Any]


class FetchError(ValueError):
    """Something can't be fetched; says what and what would be right."""

    def __init__(self, wrong: str, right: str) -> None:
        super().__init__(f"{wrong}; {right}")
        self.wrong, self.right = wrong, right


class UnknownRecordError(FetchError):
    """The register answered: it has no such record."""


@dataclass(frozen=True)
class Register:
    """Where a register answers, how an identifier becomes a path there, and where an answer names its next page."""

    url: str
    path: Callable[[str], str]
    following: Callable[[Json, str], str | None] = lambda _answer, _path: None


def _by_orcid(value: str) -> str | None:
    try:
        return orcid(value)
    except FieldError:
        return None


def _work(value: str, one: str, several: str) -> str:
    """Return the path of a work by its DOI, or of all works of an ORCID iD."""
    number = _by_orcid(value)
    return several.format(number) if number else one.format(quote(doi(value), safe=""))


_OPENALEX_ID = re.compile(r"(?:https://openalex\.org/)?([AIW]\d{1,12})")


def _openalex(kind: str, letter: str) -> Callable[[str], str]:
    def path(value: str) -> str:
        known = _OPENALEX_ID.fullmatch(value)
        if known and known[1].startswith(letter):
            return f"/{kind}/{known[1]}"
        if kind == "institutions":
            return f"/institutions/ror:{ror(value)}"
        return f"/{kind}/orcid:{orcid(value)}"

    return path


def _openalex_works(value: str) -> str:
    known = _OPENALEX_ID.fullmatch(value)
    if known and known[1].startswith("W"):
        return f"/works/{known[1]}"
    if known and known[1].startswith("A"):
        return f"/works?filter=author.id:{known[1]}&per-page=100&cursor=*"
    return _work(value, "/works/doi:{}", "/works?filter=author.orcid:{}&per-page=100&cursor=*")


def _cursor_of(*places: str) -> Callable[[Json, str], str | None]:
    """Return what finds the next page of answers that name it by a cursor."""

    def following(answer: Json, path: str) -> str | None:
        found: Any = answer
        for name in places:
            found = found.get(name) if isinstance(found, Mapping) else None
        items = answer.get("results") or (answer.get("message") or {}).get("items")
        if not isinstance(found, str) or not items or "cursor=" not in path:
            return None
        return re.sub(r"cursor=[^&]*", lambda _: f"cursor={quote(found, safe='')}", path)

    return following


def _datacite_next(answer: Json, _path: str) -> str | None:
    links = answer.get("links")
    said = links.get("next") if isinstance(links, Mapping) else None
    if not isinstance(said, str):
        return None
    parts = urlsplit(said)
    # Only the path: a register never leads to another one.
    return f"{parts.path}?{parts.query}"


_OF_CREATOR = '/dois?query=creators.nameIdentifiers.nameIdentifier:"https://orcid.org/{}"&page[size]=100&page[cursor]=1'
REGISTERS: Mapping[str, Register] = {
    "orcid": Register("https://pub.orcid.org/v3.0", lambda value: f"/{orcid(value)}/record"),
    "openalex-authors": Register("https://api.openalex.org", _openalex("authors", "A")),
    "openalex-institutions": Register("https://api.openalex.org", _openalex("institutions", "I")),
    "openalex-works": Register("https://api.openalex.org", _openalex_works, _cursor_of("meta", "next_cursor")),
    "ror": Register("https://api.ror.org/v2", lambda value: f"/organizations/{ror(value)}"),
    "crossref": Register(
        "https://api.crossref.org",
        lambda value: _work(value, "/works/{}", "/works?filter=orcid:{}&rows=100&cursor=*"),
        _cursor_of("message", "next-cursor"),
    ),
    "datacite": Register(
        "https://api.datacite.org", lambda value: _work(value, "/dois/{}", _OF_CREATOR), _datacite_next
    ),
}
"""The sources that can be asked, by the word that names them on the command line."""


@dataclass
class Fetching:
    """One visit to registers.

    Args:
        contact: the e-mail address under which whoever runs a register can complain.
        folder: where what was fetched is kept.
        mirror: an address that stands in for all registers, each below its name; "" asks the registers themselves.
        between_s: least seconds between two requests.
        tries: how often one address is asked before it is given up.
        timeout_s: how long one answer may take.
        pause: waits; another one in tests.
        clock: seconds since the epoch.
    """

    contact: str
    folder: Path
    mirror: str = ""
    between_s: float = BETWEEN_S
    tries: int = MAX_TRIES
    timeout_s: float = TIMEOUT_S
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    _last: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Refuse to visit anybody without an address.

        Raises:
            FetchError: there is none.
        """
        if not re.fullmatch(r"[^@\s()<>]{1,64}@[^@\s()<>]{1,190}", self.contact):
            raise FetchError(
                T_("registers ask for an address to write to"),
                T_("give --contact, or set GLORIA_MAIL_FROM to your office's e-mail address"),
            )

    def fetch(self, source: str, identifiers: Sequence[str]) -> list[Path]:
        """Return the files of some identifiers, fetched now or within the last week.

        Raises:
            FetchError: the source can't be asked, an identifier is none of its, or the register doesn't answer.
        """
        register = REGISTERS.get(source)
        if register is None:
            known = ", ".join(REGISTERS)
            raise FetchError(T_("%(source)s can't be asked", source=source), T_("one of %(known)s can", known=known))
        paths = []
        for value in identifiers:
            try:
                paths.append(register.path(value.strip()))
            except FieldError as error:
                raise FetchError(error.wrong, error.right) from None
        base = f"{self.mirror.rstrip('/')}/{source}" if self.mirror else register.url
        self.folder.mkdir(parents=True, exist_ok=True)
        headers = {"User-Agent": f"GLORIA-Match (mailto:{self.contact})", "Accept": "application/json"}
        with httpx.Client(headers=headers, timeout=self.timeout_s, follow_redirects=True, max_redirects=3) as client:
            return [file for path in paths for file in self._pages(client, source, register, base, path)]

    def _pages(self, client: httpx.Client, source: str, register: Register, base: str, path: str) -> Iterator[Path]:
        at: str | None = path
        for _ in range(MAX_PAGES):
            if at is None:
                return
            file = self.folder / f"{source}-{sha256((base + at).encode()).hexdigest()[:24]}.json"
            if not file.exists() or self.clock() - file.stat().st_mtime > KEPT_S:
                write_whole(file, self._asked(client, base + at))
            yield file
            answer = orjson.loads(file.read_bytes())
            at = register.following(answer, at) if isinstance(answer, Mapping) else None

    def _asked(self, client: httpx.Client, url: str) -> bytes:
        """Return an answer of JSON.

        Raises:
            FetchError: there is none after a few tries.
        """
        host, said = urlsplit(url).netloc, ""
        for tried in range(self.tries):
            self._wait_turn()
            try:
                answer = client.get(url)
            except httpx.HTTPError as error:
                said, wait_s = type(error).__name__, 2.0**tried
            else:
                if answer.status_code == httpx.codes.OK:
                    return _checked(answer, host)
                said = str(answer.status_code)
                if answer.status_code not in (429, 500, 502, 503, 504):
                    break
                wait_s = _retry_after_s(answer.headers.get("Retry-After"), 2.0**tried)
            if wait_s > MAX_PAUSE_S:
                raise FetchError(
                    T_("%(host)s asks for a pause of %(seconds)s s", host=host, seconds=f"{wait_s:,.0f}"),
                    T_("try again then"),
                )
            if tried + 1 < self.tries:
                self.pause(wait_s)
        if said == "404":
            raise UnknownRecordError(T_("%(host)s knows no such record", host=host), T_("check the identifier"))
        raise FetchError(
            T_("%(host)s does not answer (%(said)s)", host=host, said=said),
            T_("check the network, or download the file and give that"),
        )

    def _wait_turn(self) -> None:
        wait_s = self._last + self.between_s - self.clock()
        if wait_s > 0:
            self.pause(wait_s)
        self._last = self.clock()


def _checked(answer: httpx.Response, host: str) -> bytes:
    content = answer.content
    try:
        if len(content) > MAX_BYTES:
            raise ValueError
        orjson.loads(content)
    except ValueError:
        raise FetchError(
            T_("%(host)s answered with something else: %(said)s", host=host, said=shown(answer.text[:60])),
            T_("check the network, or download the file and give that"),
        ) from None
    return content


def _retry_after_s(said: str | None, otherwise_s: float) -> float:
    """Return the seconds of a Retry-After; a date, which few write, counts as not said."""
    return float(said) if said is not None and said.strip().isdecimal() and len(said) < 10 else otherwise_s
