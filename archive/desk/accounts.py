"""Accounts: who may act, in which role. They stand in ``site/accounts.json``, passwords as argon2id."""

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeGuard, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import TypeAdapter

from archive.errors import NotFound, Refused
from storage.base import ObjectStore, Version
from storage.errors import ObjectMissing

Role = Literal["file-manager", "physicist", "doctor", "administrator", "retention-officer"]
ROLES: tuple[str, ...] = get_args(Role)
RETENTION_OFFICER: Final = "retention-officer"
"""Who may let a dossier go at the end of its retention, with a second of the kind; nothing else of the desk."""

_KEY = "site/accounts.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who may act.

    Parameters
    ----------
    password
        argon2id hash with its parameters.
    """

    name: str
    role: Role
    password: str


def _is_role(text: str) -> TypeGuard[Role]:
    return text in ROLES


@dataclass(frozen=True, slots=True, kw_only=True)
class _Book:
    format: Literal["lastgate/accounts/1"] = "lastgate/accounts/1"
    accounts: tuple[Account, ...] = ()


_BOOK = TypeAdapter(_Book)


class Accounts:
    """Reads and writes the accounts of a site."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._hasher = PasswordHasher()

    def all(self) -> tuple[Account, ...]:
        """Return all accounts by name."""
        return self._read()[0].accounts

    def add(self, name: str, role: str, password: str) -> Account:
        """Make an account.

        Raises
        ------
        Refused
            The name is empty or taken, the role is unknown or the password is shorter than eight characters.
        Replaced
            Somebody else changed the accounts at the same moment; nothing was written.
        """
        if not name.strip():
            raise Refused("The account has no name", hint="Choose one.")
        if not _is_role(role):
            raise Refused(f"There is no role {role!r}", hint=f"Choose one of: {', '.join(ROLES)}.")
        if len(password) < 8:
            raise Refused("The password is shorter than eight characters", hint="Choose a longer one.")
        book, version = self._read()
        if any(account.name == name for account in book.accounts):
            raise Refused(f"There is an account {name!r} already", hint="Choose another name.")
        account = Account(name=name, role=role, password=self._hasher.hash(password))
        ordered = tuple(sorted((*book.accounts, account), key=lambda one: one.name))
        body = _BOOK.dump_json(replace(book, accounts=ordered), indent=1) + b"\n"
        self._store.replace_if_match(_KEY, body, expected=version)
        return account

    def check(self, name: str, password: str) -> Account:
        """Return the account if the password is right.

        Raises
        ------
        NotFound
            No such account.
        Refused
            Wrong password.
        """
        account = next((one for one in self.all() if one.name == name), None)
        if account is None:
            raise NotFound(f"There is no account {name!r}", hint="Make one: lastgate account add NAME --role ROLE")
        try:
            self._hasher.verify(account.password, password)
        except (VerificationError, InvalidHashError) as error:
            raise Refused(f"The password of {name!r} is wrong", hint="Try again.") from error
        return account

    def _read(self) -> tuple[_Book, Version | None]:
        try:
            stat = self._store.stat(_KEY)
            return _BOOK.validate_json(self._store.read_bytes(_KEY)), stat.version
        except ObjectMissing:
            return _Book(), None
