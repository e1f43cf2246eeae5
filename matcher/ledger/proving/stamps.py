"""Stamps of a time-stamping authority (RFC 3161): somebody outside says that a head was there at a moment.

In: what was signed, and the address of an authority. Out: its answer, or that an answer is one over this. It exists
because a signature is this machine's own word: who holds the machine holds its key and could sign an older moment,
but not the authority's. The library does all of the protocol; here it is only asked.
"""

from __future__ import annotations

from pathlib import Path

import httpx
from cryptography.x509 import load_pem_x509_certificates
from rfc3161_client import TimestampRequestBuilder, VerificationError, VerifierBuilder, decode_timestamp_response

from indexer.wording import T_

TIMEOUT_S = 20.0
_ASKS = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
_GRANTED = (0, 1)


class StampError(RuntimeError):
    """The authority did not stamp; the message says why."""


def stamped(message: bytes, url: str) -> bytes:
    """Return an authority's answer to a message.

    Raises:
        StampError: it can't be reached, or refuses.
    """
    request = TimestampRequestBuilder().data(message).build()
    try:
        answer = httpx.post(url, content=request.as_bytes(), headers=_ASKS, timeout=TIMEOUT_S)
        answer.raise_for_status()
        response = decode_timestamp_response(answer.content)
    except (httpx.HTTPError, ValueError) as error:
        raise StampError(T_("%(url)s does not stamp (%(kind)s)", url=url, kind=type(error).__name__)) from error
    if response.status not in _GRANTED:
        raise StampError(T_("%(url)s refuses to stamp", url=url))
    return answer.content


def check_stamp(stamp: bytes, message: bytes, certificates: Path) -> None:
    """Check that a stamp is an authority's over this message.

    Args:
        stamp: its answer.
        message: what it was over.
        certificates: a PEM file with the certificates that it goes back to, roots as well as those between.

    Raises:
        ValueError: it is none.
    """
    builder = VerifierBuilder()
    for one in load_pem_x509_certificates(certificates.read_bytes()):
        of_root = one.issuer == one.subject
        builder = builder.add_root_certificate(one) if of_root else builder.add_intermediate_certificate(one)
    try:
        builder.build().verify_message(decode_timestamp_response(stamp), message)
    except VerificationError as error:
        raise ValueError(str(error)) from error
