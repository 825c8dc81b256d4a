"""Errors of the storage layer.

StorageError
├── BadKey               the key breaks the naming rules
├── ObjectMissing        the key is not in this store
├── KeyTaken             other bytes stand under this key
├── Replaced             the object is no longer the version the caller read
├── DigestMismatch       bytes differ from their recorded digest
├── Retained             the version is locked until its retention ends
├── StoreFull            permanent until an operator acts
├── StoreUnavailable     transient; the caller may retry
└── StoreUnfit           the store failed its self-test; it must not be used
"""

from typing import ClassVar


class StorageError(Exception):
    """Root of all storage errors: `code` is stable, `hint` tells an operator what to do."""

    code: ClassVar[str] = "LG-STO-000"
    hint: ClassVar[str] = ""


class BadKey(StorageError):
    """The key breaks the naming rules of `storage.base.check_key`."""

    code = "LG-STO-001"
    hint = "This is a fault of the program: report it with the key."


class ObjectMissing(StorageError):
    """The key (or that version of it) is not in this store."""

    code = "LG-STO-002"
    hint = "Run `lastgate verify` to see whether anything else is missing."


class StoreFull(StorageError):
    """The store has no room; permanent until an operator acts."""

    code = "LG-STO-003"
    hint = "Free space or extend the volume; the node answers A700 meanwhile."


class KeyTaken(StorageError):
    """Other bytes stand under this key already; nothing was written."""

    code = "LG-STO-004"
    hint = "Look at what is there before anything else; it was not overwritten."


class Replaced(StorageError):
    """The object is no longer the version the caller read; nothing was written."""

    code = "LG-STO-005"
    hint = "Read it again and repeat the change."


class DigestMismatch(StorageError):
    """Bytes differ from their recorded digest."""

    code = "LG-STO-006"
    hint = "Do not delete anything; run `lastgate verify`, and bring the object back from a backup."


class Retained(StorageError):
    """The version is locked until its retention ends."""

    code = "LG-STO-007"
    hint = "Sealed dossiers stay until their retention ends."


class StoreUnavailable(StorageError):
    """The store can't be reached or answers errors; the caller may retry."""

    code = "LG-STO-008"
    hint = "Check that the object store runs and can be reached; nothing acknowledged is lost meanwhile."


class StoreUnfit(StorageError):
    """The store failed its self-test and must not be used."""

    code = "LG-STO-009"
    hint = "Choose another store, or mend the setting named in the message."
