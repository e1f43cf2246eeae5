"""What proves who somebody is: tokens and keys are stored as hashes only, end when told to, and age."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import astuple
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, SQLModel, select

from api.access.credentials import (
    IDLE,
    LONGEST,
    MAX_KEYS,
    SEEN_EVERY,
    ApiKey,
    LoginFailure,
    LoginSession,
    Password,
    Proof,
    digest,
    end_session,
    end_sessions,
    key_proof,
    make_key,
    note_failure,
    note_seen,
    open_session,
    password_hash,
    revoke_key,
    session_proof,
    set_password_hash,
)
from indexer.database import reading, writing
from matcher.review.people import add_account, principal, set_disabled

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MOMENT = timedelta(seconds=1)
DAY = timedelta(days=1)


@pytest.fixture
def account_id(engine: Engine) -> str:
    """An account that may sign in as `person@example.org`."""
    with writing(engine) as session:
        return add_account(session, email="person@example.org", name="林小姐", now=NOW).id


def _signed_in(engine: Engine, account_id: str) -> tuple[str, str]:
    with writing(engine) as session:
        return open_session(session, account_id=account_id, now=NOW)


def _key(engine: Engine, account_id: str, *, may_write: bool = True) -> tuple[str, str]:
    with writing(engine) as session:
        made, secret = make_key(session, account_id=account_id, name="ci", may_write=may_write, valid=DAY, now=NOW)
        return made.prefix, secret


def _session_at(engine: Engine, token: str, at: datetime) -> Proof | None:
    with reading(engine) as session:
        return session_proof(session, token, at)


def _key_at(engine: Engine, secret: str, at: datetime) -> Proof | None:
    with reading(engine) as session:
        return key_proof(session, secret, at)


def _stored_words(session: Session) -> Iterator[str]:
    """Every value of every table that has to do with signing in, as text."""
    models: tuple[type[SQLModel], ...] = (Password, LoginSession, ApiKey, LoginFailure)
    for model in models:
        for row in session.execute(select(*model.__table__.columns)):  # type: ignore[attr-defined]
            yield from map(str, row)


def test_a_token_and_a_key_prove_their_account(engine: Engine, account_id: str) -> None:
    token, csrf_token = _signed_in(engine, account_id)
    _, secret = _key(engine, account_id)
    _, reading_secret = _key(engine, account_id, may_write=False)
    assert _session_at(engine, token, NOW) == Proof(account_id, may_write=True, csrf_token=csrf_token)
    # The keys are the first and the second of this database.
    assert _key_at(engine, secret, NOW) == Proof(account_id, may_write=True, key_id=1)
    assert _key_at(engine, reading_secret, NOW) == Proof(account_id, may_write=False, key_id=2)


def test_what_is_stored_opens_nothing(engine: Engine, account_id: str) -> None:
    token, csrf_token = _signed_in(engine, account_id)
    _, secret = _key(engine, account_id)
    with writing(engine) as session:
        note_failure(session, email="person@example.org", address="192.0.2.7", now=NOW)
    with reading(engine) as session:
        stored = list(_stored_words(session))
        proofs = [astuple(proof) for word in stored for proof in (session_proof(session, word, NOW),) if proof]
        proofs += [astuple(proof) for word in stored for proof in (key_proof(session, word, NOW),) if proof]
    assert proofs == []
    # The search sees what is there: hashes, and the CSRF token, which proves nothing without the token.
    assert {digest(token), digest(secret), csrf_token} <= set(stored)
    kept = "\n".join(stored)
    assert [word for word in (token, secret, secret.split("_", 2)[2]) if word in kept] == []
    assert [word for word in ("person@example.org", "192.0.2.7") if word in kept] == []


def test_tokens_and_keys_are_long_and_never_alike(engine: Engine, account_id: str) -> None:
    with writing(engine) as session:
        tokens = {word for _ in range(50) for word in open_session(session, account_id=account_id, now=NOW)}
        # An account holds a few keys only.
        accounts = [add_account(session, email=f"{n}@example.org", name="", now=NOW).id for n in range(5)]
        made = [
            make_key(session, account_id=one, name="n", may_write=True, valid=DAY, now=NOW)
            for one in accounts * MAX_KEYS
        ]
        secrets = {secret for _, secret in made}
        prefixes = [key.prefix for key, _ in made]
    assert (len(tokens), len(secrets)) == (100, 50)
    assert {len(token) for token in tokens} == {43}
    assert [s for s in secrets if not re.fullmatch(r"glm_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", s)] == []
    assert [prefix for (_, secret), prefix in zip(made, prefixes, strict=True) if secret[4:12] != prefix] == []


def test_the_database_refuses_a_key_that_is_not_hashed(engine: Engine, account_id: str) -> None:
    row = {
        "account_id": account_id,
        "name": "n",
        "may_write": True,
        "created_at": NOW,
        "expires_at": NOW + DAY,
        "prefix": "00000000",
    }
    _store(engine, ApiKey(**row, key_hash=digest("hashed")))
    with pytest.raises(IntegrityError):
        _store(engine, ApiKey(**row | {"prefix": "00000001"}, key_hash="glm_00000001_bare"))


def _store(engine: Engine, key: ApiKey) -> None:
    with writing(engine) as session:
        session.add(key)


@pytest.mark.parametrize("broken", ["", "glm", "glm__", "\ud800", "\x00", "' OR 1=1 --", "長" * 10_000])
def test_odd_secrets_are_unknown_not_faults(engine: Engine, account_id: str, broken: str) -> None:
    token, _ = _signed_in(engine, account_id)
    _, secret = _key(engine, account_id)
    for made_up in (broken, token + broken[:1] if broken else token[:-1], secret + (broken or " ")):
        assert _session_at(engine, made_up, NOW) is None
        assert _key_at(engine, made_up, NOW) is None
    assert _session_at(engine, token.swapcase(), NOW) is None
    assert _key_at(engine, secret.upper(), NOW) is None


def test_a_session_ends_by_idling_and_at_the_latest_after_two_weeks(engine: Engine, account_id: str) -> None:
    token, _ = _signed_in(engine, account_id)
    assert _session_at(engine, token, NOW + IDLE) is not None
    assert _session_at(engine, token, NOW + IDLE + MOMENT) is None
    at = NOW
    while at + IDLE <= NOW + LONGEST:
        at += IDLE
        with writing(engine) as session:
            assert session_proof(session, token, at) is not None
            note_seen(session, token, at)
    assert at == NOW + LONGEST
    assert _session_at(engine, token, NOW + LONGEST + MOMENT) is None


def test_being_seen_is_written_only_now_and_then(engine: Engine, account_id: str) -> None:
    token, _ = _signed_in(engine, account_id)
    seen = []
    for at in (NOW + SEEN_EVERY - MOMENT, NOW + SEEN_EVERY, NOW + SEEN_EVERY + MOMENT):
        with writing(engine) as session:
            note_seen(session, token, at)
        with reading(engine) as session:
            seen.append(session.exec(select(LoginSession.seen_at)).one())
    assert seen == [NOW, NOW, NOW + SEEN_EVERY + MOMENT]


def test_signing_out_ends_this_browser_only(engine: Engine, account_id: str) -> None:
    (one, _), (other, _) = _signed_in(engine, account_id), _signed_in(engine, account_id)
    with writing(engine) as session:
        end_session(session, token=one, now=NOW)
    assert _session_at(engine, one, NOW) is None
    assert _session_at(engine, other, NOW) is not None
    with writing(engine) as session:
        end_sessions(session, account_id=account_id, now=NOW + MOMENT)
    assert _session_at(engine, other, NOW) is None
    with reading(engine) as session:
        ended = session.execute(select(LoginSession.token_hash, LoginSession.ended_at)).all()
    # The first keeps the moment at which it ended.
    assert {(str(row[0]), row[1]) for row in ended} == {(digest(one), NOW), (digest(other), NOW + MOMENT)}


def test_a_new_password_ends_the_sessions_of_its_account(engine: Engine, account_id: str) -> None:
    token, _ = _signed_in(engine, account_id)
    with writing(engine) as session:
        else_id = add_account(session, email="else@example.org", name="", now=NOW).id
    other, _ = _signed_in(engine, else_id)
    for stored in ("first", "second"):
        with writing(engine) as session:
            set_password_hash(session, account_id=account_id, stored=stored, now=NOW)
            assert password_hash(session, " Person@Example.org ") == (account_id, stored)
        assert _session_at(engine, token, NOW) is None
    assert _session_at(engine, other, NOW) is not None
    with reading(engine) as session:
        assert session.execute(text("SELECT count(*) FROM password")).scalar_one() == 1
        assert password_hash(session, "else@example.org") is None
        assert password_hash(session, "nobody@example.org") is None


def test_a_disabled_account_has_no_way_in(engine: Engine, account_id: str) -> None:
    _, secret = _key(engine, account_id)
    with writing(engine) as session:
        set_password_hash(session, account_id=account_id, stored="hash", now=NOW)
    with reading(engine) as session:
        assert principal(session, account_id) is not None
    with writing(engine) as session:
        set_disabled(session, account_id=account_id, disabled=True, now=NOW)
        assert password_hash(session, "person@example.org") is None
        proof = key_proof(session, secret, NOW)
        assert proof is None or principal(session, proof.account_id) is None


def test_a_key_ends_when_it_expires_or_is_revoked(engine: Engine, account_id: str) -> None:
    prefix, secret = _key(engine, account_id)
    _, kept = _key(engine, account_id)
    assert _key_at(engine, secret, NOW + DAY - MOMENT) is not None
    assert _key_at(engine, secret, NOW + DAY) is None
    with writing(engine) as session:
        assert revoke_key(session, prefix=prefix, account_id="u-else", now=NOW) is False
        assert key_proof(session, secret, NOW) is not None
        assert revoke_key(session, prefix=prefix, account_id=account_id, now=NOW) is True
        assert revoke_key(session, prefix=prefix, account_id=account_id, now=NOW) is False
    assert _key_at(engine, secret, NOW) is None
    assert _key_at(engine, kept, NOW) is not None
