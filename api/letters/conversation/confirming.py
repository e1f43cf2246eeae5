"""The link by which a company without an account reads, confirms or corrects a need that an expert typed for it.

In: the need's id and the address that the letter goes to; later a token. Out: the token, or what it says. It exists as
the only link that leads to a need's text, so it opens less than others: the page behind it asks for the address that it
was sent to before it shows a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from api.letters.signed_links import LinkSigner

PURPOSE = "need"
HOLDS_FOR = timedelta(days=14)
"""For how long the link opens."""


@dataclass(frozen=True)
class NeedByLink:
    """What a link is for: which need, the address that it was sent to, and the link itself."""

    need_id: str
    reader: str
    key: str

    def token(self, signer: LinkSigner, *, now: datetime) -> str:
        """Return the token of the link."""
        claims = {"n": self.need_id, "r": self.reader, "k": self.key}
        return signer.token(PURPOSE, claims, now=now, holds_for=HOLDS_FOR)

    @classmethod
    def read(cls, signer: LinkSigner, token: str, *, now: datetime) -> NeedByLink:
        """Return what a token says.

        Raises:
            LinkError: it is none of ours, of another purpose, or too old.
        """
        said = signer.read(PURPOSE, token, now=now)
        return cls(str(said["n"]), str(said["r"]), str(said["k"]))
