"""Every setting of the product, read once from the environment (prefix `GLORIA_`).

In: environment variables. Out: one frozen `Settings`, passed to whatever needs
it. It exists so that there is no hidden global state: a test or a notebook
builds its own.
"""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from indexer.wording import T_

DEFAULT_ENCODERS = "bundled,bundled-minilm,bundled-use"


class Settings(BaseSettings):
    """Where state lives and how it is indexed."""

    model_config = SettingsConfigDict(env_prefix="GLORIA_", frozen=True, extra="ignore")

    home: Path = Field(default=Path("gloria-data"), description="The one directory that holds all state.")
    cache: Path | None = Field(
        default=None, description="Where models and embeddings are kept; default: in the home. They hold no records."
    )
    encoders: str = Field(
        default=DEFAULT_ENCODERS,
        description="Vector fields, comma separated: bundled, bundled-minilm, bundled-use, "
        "or any name or folder that SentenceTransformer takes. The first one must cover every language.",
    )
    depth: float = Field(
        default=1.0,
        ge=0,
        le=10,
        description="What several pieces of evidence count, beside the usual: 0 is nothing, 3 favours large labs.",
    )
    near_ties: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Of two neighbours among the first 20 labs whose scores differ by no more, a coin chooses who "
        "stands first, so that rankers can be compared fairly; 0: never.",
    )
    reranker: str = Field(
        default="",
        description="A CrossEncoder, by name or folder, that reads the need with the first 50 labs; empty: none.",
    )
    reranker_budget_ms: float = Field(
        default=500, ge=1, le=60_000, description="How long that may take for one need; loading is not counted."
    )
    precision: str = Field(
        default="auto",
        pattern="^(auto|float32|bfloat16)$",
        description="Arithmetic of the encoders; auto is bfloat16 where the CPU multiplies it faster (AMX).",
    )
    threads: int = Field(default=0, ge=0, le=256, description="Threads for encoding; 0 is one per core.")
    database_url: str = Field(default="", description="SQLAlchemy URL; empty is gloria.db in the home.")
    backups: Path | None = Field(
        default=None, description="The folder of backups; default: in the home. A disk of its own survives the home's."
    )
    backups_kept: int = Field(default=14, ge=1, description="How many backups are kept.")
    requests_per_minute: int = Field(
        default=1_200, ge=1, description="What one account may ask of one server process in a minute."
    )
    disk_reserve_mb: int = Field(
        default=512,
        ge=0,
        description="MB of the home's disk, at most a tenth of it, that only signing in and the ledger may use.",
    )
    evidence_waiting_mb: int = Field(
        default=256,
        ge=1,
        description="MB of evidence that no result names yet: of one account; of all together eight times that.",
    )
    evidence_waiting_days: int = Field(
        default=7, ge=1, description="After how many days a file of evidence that no result names is deleted."
    )
    attachment_mb: int = Field(default=20, ge=1, le=32, description="MB of one file that people attach to their talks.")
    attachments_mb: int = Field(
        default=200, ge=1, description="MB of all files that hang on one need with its conversations."
    )
    scanner: str = Field(
        default="",
        description="A command that looks for viruses: a file comes on its standard input, and it ends with 0 for "
        "clean, 1 for infected, as `clamdscan --no-summary -` does; empty: none. What it can't look at is refused.",
    )
    scanner_s: float = Field(default=60, ge=1, le=600, description="How long that command may take for one file.")
    trusted_proxies: str = Field(
        default="",
        description="Addresses or networks of your reverse proxies, comma separated: whom to believe X-Forwarded-For.",
    )
    job_lease_s: float = Field(
        default=30, ge=1, le=3_600, description="After how long another process takes up a job whose process died."
    )

    second_factor: str = Field(
        default="auto",
        pattern="^(auto|off|(expert|lead|committee|company|researcher|office)"
        "(,(expert|lead|committee|company|researcher|office))*)$",
        description="Roles that need a second factor at sign-in, comma separated; off: none. auto is "
        "office,committee, but none in a home that `gloria demo` filled.",
    )
    head_key: Path | None = Field(
        default=None,
        description="The key that signs the ledger's heads; default: heads.key in the home. Kept elsewhere, who copies "
        "the home can't sign.",
    )
    stamp_url: str = Field(default="", description="A time-stamping authority (RFC 3161) for those heads; empty: none.")
    stamp_certificates: Path | None = Field(
        default=None, description="PEM file with the certificates of that authority, to check its stamps with."
    )

    drop_folders: str = Field(
        default="",
        description="Folders whose files are imported at night, comma separated: a path, or ALLIANCE_ID=path.",
    )
    quality_qrels: Path | None = Field(
        default=None,
        description="Judgements (`need 0 lab grade`) that a new index is held against; default: the demo world's, "
        "where that is stored.",
    )
    quality_canaries: str = Field(
        default="", description="Ids of needs, comma separated, whose good lab a new index must not lose."
    )
    mail_to: str = Field(default="", description="Who gets the night's report, comma separated; empty: nobody.")
    mail_from: str = Field(default="", description="The sender of all mail.")
    smtp_url: SecretStr = Field(
        default=SecretStr(""),
        description="smtp://user:password@host:port (smtp is upgraded by STARTTLS), or smtps://; empty: mail is put "
        "into a folder.",
    )
    registers_url: str = Field(
        default="",
        description="A mirror that stands in for all registers that are asked with --fetch, each below its name.",
    )
    look_up_dois: bool = Field(
        default=False,
        description="Whether a DOI that a researcher types is looked up at Crossref and DataCite; they learn the DOI "
        "and GLORIA_MAIL_FROM, which is needed for it.",
    )
    mail_folder: Path | None = Field(
        default=None, description="Where mail is put as .eml files while no SMTP server is set; default: in the home."
    )
    returned_mail: SecretStr = Field(
        default=SecretStr(""),
        description="Where mail that comes back lies, read every night: a folder of .eml files, or the sender's "
        "mailbox, imaps://user:password@host/INBOX.",
    )
    public_url: str = Field(
        default="http://127.0.0.1:8000",
        description="The address under which people reach this server, for the links in mails, feeds and webhooks.",
    )
    links_need_sign_in: bool = Field(
        default=False,
        description="Whether a link of a mail answers only for whoever is signed in as the one it was sent to; people "
        "without an account can then not be asked by a link.",
    )
    webhooks_inside: bool = Field(
        default=False,
        description="Whether webhooks may call addresses inside your own network, without TLS there too; the hosts are "
        "allowed by the office all the same.",
    )

    oidc_issuer: str = Field(default="", description="Address of the OpenID Connect provider; empty: no sign-on.")
    oidc_client_id: str = Field(default="", description="The id under which the provider knows this server.")
    oidc_client_secret: SecretStr = Field(default=SecretStr(""), description="The secret that goes with it.")
    oidc_name: str = Field(default="", description="What people call the provider; default: its host.")
    oidc_redirect_url: str = Field(
        default="", description="Where the provider sends people back to: https://HOST/api/oidc/callback."
    )
    oidc_allowed_domains: str = Field(
        default="", description="Parts of addresses after the @, comma separated, for which accounts are made."
    )

    @model_validator(mode="after")
    def _proxies_are_addresses(self) -> Self:
        for one in self.proxies():
            try:
                network = ip_network(one)
            except ValueError as error:
                raise ValueError(
                    T_("GLORIA_TRUSTED_PROXIES: give addresses or networks such as 127.0.0.1,10.0.0.0/24")
                ) from error
            if network.prefixlen == 0:
                # Whoever connects would then choose the address under which failed sign-ins are counted.
                raise ValueError(T_("GLORIA_TRUSTED_PROXIES: name your proxies, not everybody"))
        return self

    @model_validator(mode="after")
    def _sign_on_is_complete(self) -> Self:
        given = {
            "GLORIA_OIDC_ISSUER": self.oidc_issuer,
            "GLORIA_OIDC_CLIENT_ID": self.oidc_client_id,
            "GLORIA_OIDC_CLIENT_SECRET": self.oidc_client_secret.get_secret_value(),
            "GLORIA_OIDC_REDIRECT_URL": self.oidc_redirect_url,
        }
        missing = [name for name, value in given.items() if not value]
        if missing and len(missing) < len(given):
            raise ValueError(T_("single sign-on also needs %(missing)s", missing=", ".join(missing)))
        for name in ("GLORIA_OIDC_ISSUER", "GLORIA_OIDC_REDIRECT_URL"):
            if given[name] and not _is_safe(given[name]):
                raise ValueError(T_("%(name)s: give an https:// address (http:// only on this machine)", name=name))
        return self

    @model_validator(mode="after")
    def _mail_is_complete(self) -> Self:
        given = {"GLORIA_MAIL_FROM": self.mail_from, "GLORIA_SMTP_URL": self.smtp_url.get_secret_value()}
        missing = [name for name, value in given.items() if not value]
        if self.mail_to and missing:
            raise ValueError(T_("GLORIA_MAIL_TO also needs %(missing)s", missing=", ".join(missing)))
        if given["GLORIA_SMTP_URL"] and not given["GLORIA_MAIL_FROM"]:
            raise ValueError(T_("GLORIA_SMTP_URL also needs GLORIA_MAIL_FROM"))
        if self.look_up_dois and not self.mail_from:
            raise ValueError(T_("GLORIA_LOOK_UP_DOIS also needs GLORIA_MAIL_FROM"))
        public = urlsplit(self.public_url)
        if public.scheme not in ("http", "https") or not public.hostname or public.query or public.fragment:
            raise ValueError(T_("GLORIA_PUBLIC_URL: give an address such as https://match.example.org"))
        parts = urlsplit(given["GLORIA_SMTP_URL"])
        if given["GLORIA_SMTP_URL"] and (parts.scheme not in ("smtp", "smtps") or not parts.hostname):
            # Not quoted: it holds a password.
            raise ValueError(T_("GLORIA_SMTP_URL: give an address such as smtp://user:password@host:587"))
        return self

    def watched_folders(self) -> list[tuple[str | None, Path]]:
        """The drop folders, each with the alliance that its files are for (None: for nobody)."""
        found: list[tuple[str | None, Path]] = []
        for one in filter(None, (part.strip() for part in self.drop_folders.split(","))):
            alliance, is_named, path = one.partition("=")
            # A path may have a sign of its own; an alliance's id has no slash.
            if is_named and "/" not in alliance:
                found.append((alliance.strip(), Path(path.strip())))
            else:
                found.append((None, Path(one)))
        return found

    def address_of(self, path: str) -> str:
        """The whole address of a page of this server, for who reads of it elsewhere."""
        return self.public_url.rstrip("/") + path

    @property
    def mail_path(self) -> Path:
        """The folder of mail that no server is set for."""
        return self.mail_folder or self.home / "mail"

    def proxies(self) -> list[str]:
        """The addresses and networks of trusted proxies."""
        return [one.strip() for one in self.trusted_proxies.split(",") if one.strip()]

    def oidc_domains(self) -> frozenset[str]:
        """The domains for whose addresses accounts are made, in lower case."""
        names = self.oidc_allowed_domains.lower().split(",")
        return frozenset(name.strip().lstrip("@") for name in names) - {""}

    @property
    def database_path(self) -> Path:
        """The SQLite file used when no database URL is set."""
        return self.home / "gloria.db"

    @property
    def index_path(self) -> Path:
        """The folder of index generations."""
        return self.home / "index"

    @property
    def backups_path(self) -> Path:
        """The folder of backups, and of the copies that are made before an upgrade."""
        return self.backups or self.home / "backups"

    @property
    def models_path(self) -> Path:
        """The folder of materialised encoders."""
        return (self.cache or self.home) / "models"

    @property
    def embeddings_path(self) -> Path:
        """The embedding cache; it survives throwaway homes because encoding is the main cost."""
        return (self.cache or self.home) / "embeddings.db"

    def encoder_names(self) -> list[str]:
        """The configured vector fields in order, without blanks or repeats."""
        names = [name.strip() for name in self.encoders.split(",")]
        return list(dict.fromkeys(name for name in names if name))


def _is_safe(address: str) -> bool:
    """Whether nobody between the two ends can read along."""
    parts = urlsplit(address)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost"))
    )
