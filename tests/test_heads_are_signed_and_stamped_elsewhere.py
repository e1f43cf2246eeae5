"""A head that left the machine is signed, and stamped where an authority is set; one altered on its way is refused.

The authority is OpenSSL's own (`openssl ts`), behind HTTP: no code of ours and none of the library that asks it.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from base64 import b64decode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from indexer.database import open_engine, reading, writing
from indexer.settings import Settings
from matcher.ledger.proving.heads import public_key_of, read_kept, seal_of, signed_heads, signing_key
from matcher.ledger.proving.stamps import StampError, check_stamp, stamped
from matcher.ledger.rendering.formats import ReportFormat, render
from matcher.ledger.rendering.report_texts import ReportLanguage
from matcher.ledger.rows.chain import heads_of
from matcher.ledger.rows.entries import LedgerError
from matcher.ledger.rules.reporting import report
from tests.rig.worlds.ledger_world import NOON, build_ledger_world, money
from tests.rig.worlds.report_samples import full_report

OPENSSL = shutil.which("openssl")
CONFIGURATION = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
default_policy = 1.2.3.4.1
digests = sha256, sha512
signer_digest = sha256
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True)
class Authority:
    """Where it answers, and the certificates that its stamps go back to."""

    url: str
    certificates: Path


def _certificates(folder: Path) -> None:
    """Make a root, and a key for stamps that it vouches for."""
    now = datetime.now(UTC)

    def certificate(name: str, key: Any, issuer: str, signer: Any, *, is_root: bool) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        by = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)])
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(by).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        builder = builder.not_valid_after(now + timedelta(days=9))
        builder = builder.add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        if not is_root:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
            builder = builder.add_extension(usage, critical=True)
        return builder.sign(signer, hashes.SHA256())

    root_key, key = (rsa.generate_private_key(public_exponent=65_537, key_size=2_048) for _ in range(2))
    root = certificate("Root of time", root_key, "Root of time", root_key, is_root=True)
    signer = certificate("Stamps", key, "Root of time", root_key, is_root=False)
    plain = serialization.Encoding.PEM
    (folder / "root.pem").write_bytes(root.public_bytes(plain))
    (folder / "signer.pem").write_bytes(signer.public_bytes(plain))
    private = key.private_bytes(plain, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "signer.key").write_bytes(private)
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(CONFIGURATION.format(folder=folder))


def _reply(folder: Path, query: bytes) -> bytes:
    (folder / "query").write_bytes(query)
    names = {"-queryfile": "query", "-inkey": "signer.key", "-signer": "signer.pem"}
    given = [part for name, file in names.items() for part in (name, str(folder / file))]
    command = [str(OPENSSL), "ts", "-reply", "-config", str(folder / "tsa.cnf"), *given, "-out", str(folder / "reply")]
    subprocess.run(command, check=True, capture_output=True)
    return (folder / "reply").read_bytes()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    if OPENSSL is None:
        pytest.skip("no openssl to stamp with")
    folder = tmp_path_factory.mktemp("authority")
    _certificates(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            answer = _reply(folder, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200 if self.path == "/" else 503)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Authority(f"http://127.0.0.1:{server.server_port}/", folder / "root.pem")
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    engine = open_engine(Settings(home=home))
    world = build_ledger_world(engine)
    with writing(engine) as session:
        report(session, money(), by=world.people["reporter"], now=NOON)
    engine.dispose()
    return home


def _signed(home: Path, **more: Any) -> dict[str, Any]:
    engine = open_engine(Settings(home=home))
    with reading(engine) as session:
        signed = signed_heads(session, signing_key(home / "heads.key"), NOON, **more)
    engine.dispose()
    return signed


def _kept(folder: Path, signed: dict[str, Any]) -> Path:
    path = folder / "head.json"
    path.write_bytes(orjson.dumps(signed) + b"\n")
    return path


def test_a_signed_head_is_read_back_and_an_altered_one_refused(home: Path, tmp_path: Path) -> None:
    signed, key = _signed(home), public_key_of(signing_key(home / "heads.key"))
    assert (home / "heads.key").stat().st_mode & 0o777 == 0o600
    assert signed["public_key"] == key
    kept = read_kept(_kept(tmp_path, signed), key)
    assert [(one.chain, one.n, one.hash) for one in kept] == [tuple(one.values()) for one in signed["heads"]]
    for changed in ({"at": NOON.replace(year=2020).isoformat()}, {"heads": [{**signed["heads"][0], "n": 7}]}):
        with pytest.raises(LedgerError, match=r"head.json:1 is not signed by this key"):
            read_kept(_kept(tmp_path, {**signed, **changed}), key)
    with pytest.raises(LedgerError, match="this is not a public key"):
        read_kept(_kept(tmp_path, signed), "x")
    with pytest.raises(LedgerError, match=r"head.json:1 is not signed$"):
        read_kept(_kept(tmp_path, {"chain": "entries", "n": 0, "hash": "0" * 64, "at": ""}), key)
    (home / "broken.key").write_bytes(b"no key\n")
    with pytest.raises(LedgerError, match=r"broken.key is not a key"):
        signing_key(home / "broken.key")


@pytest.mark.parametrize("form", ReportFormat)
def test_a_report_of_any_kind_carries_signed_heads(home: Path, tmp_path: Path, form: ReportFormat) -> None:
    key, path = signing_key(home / "heads.key"), tmp_path / f"report.{form.value}"
    engine = open_engine(Settings(home=home))
    with reading(engine) as session:
        seal, heads = seal_of(session, key, NOON), heads_of(session, NOON)
    engine.dispose()
    path.write_bytes(render(replace(full_report(), seal=seal), form, ReportLanguage.BOTH))
    assert read_kept(path, public_key_of(key)) == heads
    # The controls: signed by another, of another day, and without any.
    another = public_key_of(signing_key(home / "another.key"))
    with pytest.raises(LedgerError, match=r":1 is not signed by this key"):
        read_kept(path, another)
    later = seal_of_changed(seal)
    path.write_bytes(render(replace(full_report(), seal=later), form, ReportLanguage.BOTH))
    with pytest.raises(LedgerError, match=r":1 is not signed by this key"):
        read_kept(path, public_key_of(key))
    path.write_bytes(render(full_report(), form))
    with pytest.raises(LedgerError, match=r"is not an exported head|is not signed"):
        read_kept(path, public_key_of(key))


def seal_of_changed(seal: str) -> str:
    """Return a seal whose heads are said to be of a later day than those that were signed."""
    mark, _, said = seal.partition(":")
    signed = orjson.loads(urlsafe_b64decode(said + "=" * (-len(said) % 4)))
    changed = orjson.dumps({**signed, "at": NOON.replace(year=2020).isoformat()})
    return f"{mark}:{urlsafe_b64encode(changed).decode().rstrip('=')}"


def test_a_stamp_is_the_authoritys_over_this_head(home: Path, authority: Authority, tmp_path: Path) -> None:
    signed = _signed(home, stamp=partial(stamped, url=authority.url))
    check = partial(check_stamp, certificates=authority.certificates)
    assert len(read_kept(_kept(tmp_path, signed), check_stamp=check)) == 4
    message = orjson.dumps({"at": signed["at"], "heads": signed["heads"]}, option=orjson.OPT_SORT_KEYS)
    check(b64decode(signed["stamp"]), message)
    with pytest.raises(ValueError, match=r"\w"):
        check(b64decode(signed["stamp"]), message + b" ")
    other = tmp_path / "other"
    other.mkdir()
    _certificates(other)
    with pytest.raises(ValueError, match=r"\w"):
        check_stamp(b64decode(signed["stamp"]), message, other / "root.pem")
    # What was stamped is not what it says now.
    moved = {**signed, "at": NOON.replace(year=2020).isoformat()}
    with pytest.raises(LedgerError, match=r"head.json:1 is not an exported head"):
        read_kept(_kept(tmp_path, moved), check_stamp=check)


def test_an_authority_that_does_not_answer_is_named(authority: Authority) -> None:
    with pytest.raises(StampError, match="does not stamp"):
        stamped(b"head", authority.url + "broken")
    with pytest.raises(StampError, match="does not stamp"):
        stamped(b"head", "http://127.0.0.1:9/")
