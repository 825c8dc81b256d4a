"""Settings: ``lastgate.toml`` and ``LASTGATE_*`` variables, read once, here and nowhere else.

A variable names a setting with two underscores between levels:
``LASTGATE_STORE__KIND=s3``. Variables win over the file.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as UnreadableVariable

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

FILE: Final = "lastgate.toml"
CONFIG: Final = "LASTGATE_CONFIG"
"""The variable that names another file than ``lastgate.toml`` in the working folder."""

_PREFIX: Final = "LASTGATE_"
_NO_SETTINGS: Final = frozenset({CONFIG, "LASTGATE_PASSWORD"})
"""Variables of ours that set nothing: where the settings stand, and the password of a command's account."""

_NODE = re.compile(r"[a-z0-9]{1,32}")


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it and says what to write."""

    code = "LG-SET-001"
    hint = f"Mend {FILE} or the LASTGATE_* variables; docs/administrator.md lists all settings."


def _off(value: object) -> object:
    return None if value == "off" else value


def _node_id(value: str) -> str:
    if not _NODE.fullmatch(value):
        raise ValueError("a node id is 1 to 32 lower-case letters and digits")
    return value


Port = Annotated[int | None, Field(ge=0, le=65535), BeforeValidator(_off)]
"""A port; None where the settings say ``off``."""

ServiceName = Literal["verify", "store", "find", "move", "get", "commit", "mpps"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PeerSettings(_Part):
    """What is known of one other system, and what it may do; see `ingest.peers.PeerRule`."""

    title: Annotated[str, Field(min_length=1, max_length=16)]
    called: tuple[str, ...] = ()
    addresses: tuple[IPv4Network | IPv6Network, ...] = ()
    certificates: tuple[str, ...] = ()
    services: tuple[ServiceName, ...] = ("verify", "store", "commit", "mpps")
    sop_classes: tuple[str, ...] = ()
    character_set: str = ""
    issuer: str | None = None
    most_bytes: Annotated[int, Field(ge=1)] | None = None
    most_associations: Annotated[int, Field(ge=1)] | None = None
    host: str = ""
    port: Annotated[int, Field(ge=1, le=65535)] = 104
    tls: bool = False


class TlsSettings(_Part):
    """TLS of the node, in both directions; on as soon as there is a certificate.

    Parameters
    ----------
    certificate, key, authorities
        PEM files; see `ingest.peers.tls.TlsFiles`. The key has the mode 0400.
    port
        Where it is listened for; ``off`` speaks TLS only to others.
    clients
        Whether those who call must show a certificate.
    """

    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None
    port: Port = 2762
    clients: Literal["require", "request", "none"] = "require"


class NodeSettings(_Part):
    """The DICOM node.

    Parameters
    ----------
    id
        Names this node in receipts and journal; no two nodes may share one.
    most_answers
        Of one query; beyond it the query ends with A700.
    port
        Where it is listened without TLS; ``off`` leaves only the port of TLS.
    unknown_peers
        What calling titles may do for which there is no rule.
    issuer
        Issuer given to patient IDs that arrive without one.
    notify
        Titles of peers that are told what was filed.
    workers
        How many processes receive.
    """

    id: Annotated[str, AfterValidator(_node_id)] = "node1"
    aet: Annotated[str, Field(min_length=1, max_length=16)] = "LASTGATE"
    host: str = "127.0.0.1"
    port: Port = 11112
    require_called_aet: bool = False
    most_associations: Annotated[int, Field(ge=1)] = 50
    most_answers: Annotated[int, Field(ge=1)] = 100_000
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    issuer: str = ""
    unknown_peers: Literal["accept-store", "refuse", "accept"] = "accept-store"
    peers: tuple[PeerSettings, ...] = ()
    notify: tuple[str, ...] = ()
    tls: TlsSettings = TlsSettings()


class SendingSettings(_Part):
    """How instances are sent to other systems.

    Parameters
    ----------
    associations
        How many at once to one system: more than one where the way is long.
    answer_s
        How long it may take to store one object.
    retry_days
        For so long a queued send is tried again.
    """

    associations: Annotated[int, Field(ge=1, le=16)] = 1
    answer_s: Annotated[float, Field(gt=0)] = 120.0
    retry_days: Annotated[int, Field(ge=1, le=365)] = 7


class CommitmentPart(_Part):
    """How requests for Storage Commitment are answered; see `ingest.commitment.settings.CommitmentSettings`."""

    least_copies: Annotated[int, Field(ge=1, le=2)] = 1
    unknown_after_s: Annotated[int, Field(ge=0, le=86_400)] = 600
    same_association_s: Annotated[int, Field(ge=0, le=3600)] = 5
    read_mb_per_s: Annotated[int, Field(ge=0)] = 100


class SecondStoreSettings(_Part):
    """A second store that holds a copy of everything, as `StoreSettings` describes one; ``off`` without one."""

    kind: Literal["off", "filesystem", "s3"] = "off"
    root: Path | None = None
    endpoint_url: str = ""
    region: str = "us-east-1"
    bucket: str = "lastgate"
    vault_bucket: str = "lastgate-vault"
    access_key_file: Path | None = None
    secret_key_file: Path | None = None
    lock_mode: Literal["governance", "compliance"] = "governance"


class StoreSettings(_Part):
    """Where bytes lie. With ``s3`` the vault has a bucket with Object Lock of its own.

    Parameters
    ----------
    access_key_file, secret_key_file
        Files of mode 0400 that hold the credentials, never the settings themselves.
    lock_mode
        Of Object Lock in the vault's bucket: ``compliance`` can be undone by nobody, whatever happens.
    """

    kind: Literal["filesystem", "s3"] = "filesystem"
    root: Path | None = None
    endpoint_url: str = ""
    region: str = "us-east-1"
    bucket: str = "lastgate"
    vault_bucket: str = "lastgate-vault"
    access_key_file: Path | None = None
    secret_key_file: Path | None = None
    lock_mode: Literal["governance", "compliance"] = "governance"
    second: SecondStoreSettings = SecondStoreSettings()


class GateSettings(_Part):
    """What the gate asks for.

    Parameters
    ----------
    rules
        TOML file with what the department asks for beyond, or otherwise than, the packs that come with the program.
    """

    rules: Path | None = None


class DoseSettings(_Part):
    """The department's own tables of biology, each over the one that comes with the program.

    Parameters
    ----------
    tissues
        TOML file with alpha/beta of tissues.
    limits
        TOML file with limits for all courses together.
    recovery
        TOML file with rules of recovery.
    """

    tissues: Path | None = None
    limits: Path | None = None
    recovery: Path | None = None


class FixitySettings(_Part):
    """How the archive is read back in the background.

    Parameters
    ----------
    days
        Everything is read once within so many days; None for 30 where all stores are on local disks, else 90.
    most_mb_per_s
        It never reads faster; 0 for no limit.
    repair
        Whether damaged copies are mended at once.
    most_repairs
        After so many damaged copies in one round, or one `lastgate verify`, a person is asked.
    """

    days: Annotated[int | None, Field(ge=1, le=3650)] = None
    most_mb_per_s: Annotated[int, Field(ge=0)] = 50
    repair: bool = True
    most_repairs: Annotated[int, Field(ge=1)] = 20


class RetentionSettings(_Part):
    """How long sealed dossiers are kept; see `archive.vault.retention`.

    Parameters
    ----------
    preset
        Whose terms hold.
    years
        The site's own least term after the last treatment; `retention_years` where it is not set.
    """

    preset: Literal["default", "china", "england", "germany", "site"] = "default"
    years: Annotated[int, Field(ge=1, le=1000)] | None = None


class SealSettings(_Part):
    """What a seal bears beside its signature.

    Parameters
    ----------
    timestamp_url
        Of a time-stamping authority (RFC 3161); empty for none.
    timestamp_authority
        PEM file with the certificates that its tokens are checked against.
    timestamp_required
        Whether nothing is sealed while it is away.
    """

    timestamp_url: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = ""
    timestamp_authority: Path | None = None
    timestamp_required: bool = False


class IndexSettings(_Part):
    """Which engine makes dossiers findable."""

    kind: Literal["sqlite", "elasticsearch"] = "sqlite"
    url: str = "http://127.0.0.1:9200"
    name: str = "lastgate"


def _mail_address(value: str) -> str:
    if value and not re.fullmatch(r"[^@\s<>,;]+@[^@\s<>,;]+", value):
        raise ValueError("a mail address is written as somebody@somewhere, without a name")
    return value


MailAddress = Annotated[str, AfterValidator(_mail_address)]


class WorklistSettings(_Part):
    """How those are asked who can mend what holds a dossier.

    Parameters
    ----------
    silent_days
        After so many days without treatment it is proposed to close a course.
    sender
        Address letters come from; a letter without one opens as a draft.
    addresses
        Addresses by name of machine or doctor, or by kind: ``machine``, ``planning``, ``imaging``, ``physicist``,
        ``doctor``, ``file-manager``.
    """

    silent_days: Annotated[int, Field(ge=1, le=3650)] = 14
    sender: MailAddress = ""
    addresses: dict[str, MailAddress] = {}


class Settings(_Part):
    """Everything a site can set; a value made in code reads neither file nor variables.

    Parameters
    ----------
    home
        Folder of this node: spool, embedded index, keys, and the archive itself with the filesystem store.
    retention_years
        The site's least term after the last treatment; so long the journal and certificates of disposal are locked.
    intake_grace_days
        So long after its seal the intake keeps its copy of an instance; ``off`` keeps it for good.
    spool_log_mb
        MB that each receiving process keeps to write over again and again (`ingest.spool.log`); 0 for none.
    acknowledge
        When a sender is told that an object is stored: when it is safe in this node's spool, or when it is filed.
    department
        TOML file with the department's own texts for the summary (names, telephone numbers, visits).
    pseudonym_key
        File of mode 0400 with the secret behind the pseudonyms of exports; ``keys/pseudonyms.key`` of the home else.
    """

    home: Path = Path("lastgate-data")
    node: NodeSettings = NodeSettings()
    sending: SendingSettings = SendingSettings()
    commitment: CommitmentPart = CommitmentPart()
    store: StoreSettings = StoreSettings()
    fixity: FixitySettings = FixitySettings()
    gate: GateSettings = GateSettings()
    dose: DoseSettings = DoseSettings()
    index: IndexSettings = IndexSettings()
    worklist: WorklistSettings = WorklistSettings()
    retention: RetentionSettings = RetentionSettings()
    seal: SealSettings = SealSettings()
    retention_years: Annotated[int, Field(ge=1, le=1000)] = 30
    intake_grace_days: Annotated[int | None, Field(ge=1, le=36_500), BeforeValidator(_off)] = 30
    spool_grace_s: Annotated[int, Field(ge=0)] = 86_400
    spool_log_mb: Annotated[int, Field(ge=0)] = 512
    acknowledge: Literal["spooled", "filed"] = "spooled"
    department: Path | None = None
    pseudonym_key: Path | None = None


class _Sources(Settings, BaseSettings):
    """The settings as file and variables tell them."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid")

    @classmethod
    def settings_customise_sources(  # pydantic names these arguments
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let variables win over the file, and read nothing else."""
        return (env_settings, TomlConfigSettingsSource(settings_cls, toml_file=_file()))


def load_settings() -> Settings:
    """Read the settings.

    Raises
    ------
    SettingsError
        A setting is unknown or wrong, or the file can't be read.
    """
    _refuse_unknown(os.environ)
    named = os.environ.get(CONFIG)
    if named and not Path(named).is_file():
        raise SettingsError(f"{CONFIG} names {named}, which is no file")
    try:
        read = _Sources()
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {_worded(one)}" for one in error.errors())
        raise SettingsError(f"The settings can't be used: {told}") from error
    except UnreadableVariable as error:
        raise SettingsError(f"A variable can't be read: {error}. Name single settings: LASTGATE_NODE__PORT") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{_file()} is no TOML file: {error}") from error
    except OSError as error:
        raise SettingsError(f"{_file()} can't be read: {error.strerror}") from error
    return Settings(**{name: getattr(read, name) for name in Settings.model_fields})


def _worded(error: "ErrorDetails") -> str:
    """Return what is wrong with a setting; never its value, which may be a secret written where none belongs."""
    return "there is no such setting" if error["type"] == "extra_forbidden" else error["msg"]


def _file() -> Path:
    return Path(os.environ.get(CONFIG, FILE))


def _refuse_unknown(environment: Mapping[str, Any]) -> None:
    """Name a variable that sets nothing: a mistyped LASTGATE_HOME would send patients to another archive unseen."""
    known = _NO_SETTINGS | {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in sorted(environment):
        if name.upper().startswith(_PREFIX) and name.upper().split("__")[0] not in known:
            raise SettingsError(f"The variable {name} sets nothing: there is no such setting")
