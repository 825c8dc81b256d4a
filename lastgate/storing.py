"""Opens the object stores that the settings name: one, or two that hold the same."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from archive.vault.checks import is_replaced, named_sha256
from archive.vault.ocfl import ROOT
from lastgate.settings import SecondStoreSettings, SettingsError, StoreSettings
from storage.base import ObjectStore
from storage.errors import ObjectMissing
from storage.filesystem import FilesystemStore
from storage.mirrored import Behind, CatchingUp, MirroredStore, Second
from storage.mirrored.behind import FOLDER

PAIRED: Final = f"{FOLDER}second-store.json"
"""Which second store the first was paired with: it lies beside the notes of what is behind, in the first alone."""

_PAIRED_FORMAT: Final = "lastgate/second-store/1"
_LOCKED: Final = (f"{ROOT}/", "journal/", "disposed/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The object stores of a site: one for what may change place, one that locks."""

    work: ObjectStore
    locked: ObjectStore

    @property
    def distinct(self) -> tuple[ObjectStore, ...]:
        """Each of them once."""
        return (self.work,) if self.work is self.locked else (self.work, self.locked)

    @property
    def pairs(self) -> tuple[MirroredStore, ...]:
        """Those that hold everything twice."""
        return tuple(store for store in self.distinct if isinstance(store, MirroredStore))


def open_stores(settings: StoreSettings, *, default_root: Path, must_exist: bool) -> Stores:
    """Open what the settings name; a second store is opened when it is first needed.

    Parameters
    ----------
    default_root
        Folder of a filesystem store that names none.
    must_exist
        There is an archive already: a folder without its mark is a disk that is not mounted.
    """
    root = settings.root or default_root
    first = _filesystem(root, must_exist) if settings.kind == "filesystem" else _s3(settings, "store")
    if settings.second.kind == "off":
        return first
    return _pair(first, root if settings.kind == "filesystem" else None, settings.second)


def catching_up(stores: Stores) -> tuple[CatchingUp, ...]:
    """Return what brings the second stores up to the first ones."""
    pairs = stores.pairs
    if len(pairs) == 1:
        return (CatchingUp(pairs[0], is_replaced=is_replaced, named_sha256=named_sha256),)
    ours: tuple[Callable[[str], bool], ...] = (
        lambda key: not key.startswith(_LOCKED),
        lambda key: key.startswith(_LOCKED),
    )
    return tuple(
        CatchingUp(pair, is_ours=is_ours, is_replaced=is_replaced, named_sha256=named_sha256)
        for pair, is_ours in zip(pairs, ours, strict=False)
    )


def _filesystem(root: Path, must_exist: bool) -> Stores:
    store = FilesystemStore(root, must_exist=must_exist)
    return Stores(work=store, locked=store)


def _s3(settings: StoreSettings | SecondStoreSettings, name: str) -> Stores:
    from storage.s3 import S3Store, connect, ensure_bucket

    client = connect(
        settings.endpoint_url or None,
        settings.region,
        secret(f"{name}.access_key_file", settings.access_key_file),
        secret(f"{name}.secret_key_file", settings.secret_key_file),
    )
    compliance = settings.lock_mode == "compliance"
    ensure_bucket(client, settings.bucket, lock=False)
    ensure_bucket(client, settings.vault_bucket, lock=True)
    return Stores(
        work=S3Store(client, settings.bucket), locked=S3Store(client, settings.vault_bucket, compliance=compliance)
    )


def _pair(first: Stores, root: Path | None, settings: SecondStoreSettings) -> Stores:
    identity = _checked_identity(root, settings)

    @cache  # opened once, when it is there; what it raises is not remembered
    def opened() -> Stores:
        return _opened_second(first.work, identity, settings)

    def pair(store: ObjectStore, part: str, open_second: Callable[[], ObjectStore]) -> MirroredStore:
        return MirroredStore(store, Second(open_second), behind=Behind(first.work, f"{FOLDER}{part}/"))

    work = pair(first.work, "work", lambda: opened().work)
    if first.work is first.locked and settings.kind == "filesystem":
        return Stores(work=work, locked=work)
    return Stores(work=work, locked=pair(first.locked, "vault", lambda: opened().locked))


def _checked_identity(root: Path | None, settings: SecondStoreSettings) -> str:
    """Return what names the second store, so that another one in its place is known to be another."""
    if settings.kind == "s3":
        secret("store.second.access_key_file", settings.access_key_file)
        secret("store.second.secret_key_file", settings.secret_key_file)
        return f"s3:{settings.endpoint_url}/{settings.bucket}+{settings.vault_bucket}"
    if settings.root is None:
        raise SettingsError("store.second.root is not set: it names the folder of the second store")
    own, other = settings.root.absolute(), root and root.absolute()
    if other and (own == other or own in other.parents or other in own.parents):
        raise SettingsError(f"store.second.root: {own} and {other} must not lie in one another")
    return f"filesystem:{own}"


def _opened_second(site: ObjectStore, identity: str, settings: SecondStoreSettings) -> Stores:
    """Open the second store; once it was paired with the first, a folder without its mark is a disk not mounted."""
    try:
        version = site.stat(PAIRED).version
        is_paired = json.loads(site.read_bytes(PAIRED)).get("store") == identity
    except ObjectMissing:
        version, is_paired = None, False
    if settings.kind == "s3":
        opened = _s3(settings, "store.second")
    else:
        assert settings.root is not None
        opened = _filesystem(settings.root, must_exist=is_paired)
    if not is_paired:
        site.replace_if_match(PAIRED, paired(identity), expected=version)
    return opened


def paired(identity: str) -> bytes:
    """Return the document that tells which second store there is."""
    return json.dumps({"format": _PAIRED_FORMAT, "store": identity}).encode() + b"\n"


def secret(name: str, path: Path | None) -> str:
    """Return the content of a file that holds a credential.

    Raises
    ------
    SettingsError
        It is not named, can't be read, is empty, or anybody on the machine can read it.
    """
    if path is None:
        raise SettingsError(f"{name} is not set: with S3 it names the file that holds the credential")
    try:
        if path.stat().st_mode & 0o007:
            raise SettingsError(f"{name}: {path} can be read by anybody on this machine; run chmod 0400 {path}")
        told = path.read_text("utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{name}: {path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{name}: {path} is no text") from error
    if not told:
        raise SettingsError(f"{name}: {path} is empty")
    return told
