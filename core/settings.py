"""All settings in one frozen object, read once at the start. Nothing else in the project reads the environment, except
that a key URI `env:NAME` names a variable that `keys.private.secret` reads.

``GLA_HOME`` (default ``./.gla``) holds everything that a local run writes; ``GLA_DATABASE_URL`` names another database.
A nested setting is named with two underscores, for example ``GLA_DROPZONE__PORT=2222``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


class DropzoneSettings(BaseModel):
    """Our SFTP server for recipients. It reads its folder, and writes only the spool and what recipients send us."""

    model_config = ConfigDict(frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=2022, ge=0, le=65535)  # 0: any free port
    login_seconds: int = Field(default=20, gt=0)
    idle_seconds: int = Field(default=600, gt=0)
    session_seconds: int = Field(default=24 * 3600, gt=0)
    stop_seconds: int = Field(default=30, ge=0)  # what is under way may last so long when the server is told to stop
    max_connections: int = Field(default=100, gt=0)  # that are logged in
    max_per_recipient: int = Field(default=20, gt=0)
    max_per_address: int = Field(default=40, gt=0)  # that are logged in; of IPv6 a /64 is one address
    max_strangers: int = Field(default=40, gt=0)  # that are not logged in; the oldest makes room
    max_strangers_per_address: int = Field(default=15, gt=0)
    connections_per_minute: int = Field(default=300, gt=0)  # of one address; those beyond wait a little
    login_failures: int = Field(default=10, gt=0)  # in a row, of one address, that lock it out: 5 s, then twice as long
    lockout_seconds: int = Field(default=900, gt=0)  # but no longer than this
    upload_bytes: int = Field(default=256 * 1024 * 1024, gt=0)  # of one file; nine million people are 99 MB of CSV
    upload_files: int = Field(default=16, gt=0)  # that one agreement may have waiting, or on their way
    upload_recipient_bytes: int = Field(default=1024**3, gt=0)  # that one recipient may have so, for all its agreements
    upload_reserve_bytes: int = Field(default=1024**3, ge=0)  # that stay free on the disk, for deliveries and the spool
    signature_seconds: int = Field(default=900, ge=0)  # a file waits so long for the signature that belongs to it


class OpensshSettings(BaseModel):
    """The zone on OpenSSH's server; where it listens and its limits are those of `DropzoneSettings`."""

    model_config = ConfigDict(frozen=True)

    chroots: Path = Path("/srv/gla-zone")  # on one file system with GLA_HOME; every folder above it is root's


class DeliverySettings(BaseModel):
    """How one delivery runs."""

    model_config = ConfigDict(frozen=True)

    # a worker that is silent for so long has lost its delivery; an hour is the most that the ledger gives
    lease_seconds: int = Field(default=120, gt=0, le=3600)
    retention_days: int = Field(default=30, gt=0)  # unless the agreement's slaProperties say otherwise
    event_days: int = Field(default=7 * 366, gt=0)  # after a delivery ended: so long the ledger says who did what in it
    people_retention_days: int = Field(default=5 * 366, gt=0)  # after publication: who was in it can be asked so long
    connect_seconds: float = Field(default=10.0, gt=0)


class SourceSettings(BaseModel):
    """How long a source may take: a run that waits for ever would hold its delivery for ever."""

    model_config = ConfigDict(frozen=True)

    connect_seconds: float = Field(default=10.0, gt=0)
    idle_seconds: float = Field(default=600.0, gt=0)  # without a row
    statement_seconds: float = Field(default=4 * 3600.0, gt=0)  # for all rows of a database


class RegistrySettings(BaseModel):
    """How recipients' keys are proven and replaced."""

    model_config = ConfigDict(frozen=True)

    challenge_days: int = Field(default=14, gt=0)  # then a challenge proves nothing any more
    overlap_days: int = Field(default=30, ge=0)  # both keys are sealed to for so long after a rotation


class KeySettings(BaseModel):
    """Where our own keys are, by URI (`keys.private.uri`); without one a key is a file below `keys_dir`.

    A URI holds no secret, but one that was written wrongly might: so none is shown.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    agreement_seal: str | None = Field(default=None, repr=False)
    manifest: str | None = Field(default=None, repr=False)
    manifest_mldsa: str | None = Field(default=None, repr=False)  # absent: no second signature is made
    ledger: str | None = Field(default=None, repr=False)
    intake: str | None = Field(default=None, repr=False)
    person_digests: str | None = Field(default=None, repr=False)
    openpgp: str | None = Field(default=None, repr=False)
    dropzone_host: str | None = Field(default=None, repr=False)


def _folder(value: Any) -> Any:
    """A shell that was kept from it leaves `~` as it is, and an empty name would be the folder that one stands in."""
    if isinstance(value, str) and (value != value.strip() or value[:1] in ("", "~")):
        raise ValueError("not a folder by name")
    return value


class Settings(BaseSettings):
    """Built once by the program that starts; handed to everything below."""

    model_config = SettingsConfigDict(env_prefix="GLA_", env_nested_delimiter="__", frozen=True, extra="ignore")

    home: Annotated[Path, BeforeValidator(_folder)] = Path(".gla")
    database_url: SecretStr | None = None
    log_level: Annotated[Level, BeforeValidator(str.upper)] = "WARNING"
    prefect_api_url: str | None = Field(default=None, validation_alias="PREFECT_API_URL")
    dropzone: DropzoneSettings = DropzoneSettings()
    openssh: OpensshSettings = OpensshSettings()
    delivery: DeliverySettings = DeliverySettings()
    # not `keys`: a model with such a field cannot be walked as a mapping, which Prefect does with what a task is given
    own_keys: KeySettings = Field(default=KeySettings(), validation_alias="GLA_KEYS")
    registry: RegistrySettings = RegistrySettings()
    sources: SourceSettings = SourceSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - as the method that this one replaces
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """A file that is named (`_env_file`) goes before the environment, which stays as it was at the start."""
        return init_settings, dotenv_settings, env_settings

    @property
    def resolved_database_url(self) -> str:
        """The database by URL (SQLAlchemy form); the default is one SQLite file below `home`."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home.resolve() / 'gla.db'}"

    @property
    def keys_dir(self) -> Path:
        """Our own private keys, 0600."""
        return self.home / "keys"

    @property
    def config_dir(self) -> Path:
        """Registered sources and destinations."""
        return self.home / "config"

    @property
    def staging_dir(self) -> Path:
        """Sealed parts that are not yet published, and stay for a redelivery."""
        return self.home / "staging"

    @property
    def mutations_dir(self) -> Path:
        """What mutation deliveries leave behind for the next one to be compared with, sealed to ourselves."""
        return self.home / "mutations"

    @property
    def challenges_dir(self) -> Path:
        """Files that recipients open, or sign, to prove that they hold their keys."""
        return self.home / "challenges"

    @property
    def dropzone_dir(self) -> Path:
        """What the public can reach: `deliveries/`, `accounts.json`, `spool/`; only ciphertext."""
        return self.home / "dropzone"

    @property
    def participants_dir(self) -> Path:
        """Whom recipients named as their participants, sealed to ourselves."""
        return self.home / "participants"

    @property
    def people_dir(self) -> Path:
        """Who was in each delivery, sealed so that one person at a time can be asked for."""
        return self.home / "people"

    @property
    def prefect_dir(self) -> Path:
        """Home of a Prefect server and worker that we start ourselves."""
        return self.home / "prefect"

    @property
    def logs_dir(self) -> Path:
        """Output of the programs that we start ourselves."""
        return self.home / "logs"

    @property
    def checkpoints_path(self) -> Path:
        """The second place for signed ledger checkpoints."""
        return self.home / "checkpoints" / "ledger.jsonl"
