"""Accounts say who may act, and in which role."""

import json
import threading
from pathlib import Path

import pytest

from archive.desk.accounts import ROLES, Accounts
from archive.errors import NotFound, Refused
from storage.errors import Replaced
from storage.filesystem import FilesystemStore


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path)


def test_check_with_the_right_password_then_the_account_is_returned(store: FilesystemStore) -> None:
    Accounts(store).add("ada", "physicist", "correct horse")

    account = Accounts(store).check("ada", "correct horse")

    assert (account.name, account.role) == ("ada", "physicist")


def test_add_then_the_password_itself_is_stored_nowhere(store: FilesystemStore) -> None:
    Accounts(store).add("ada", "physicist", "correct horse")

    written = store.read_bytes("site/accounts.json")

    assert b"correct horse" not in written
    assert json.loads(written)["accounts"][0]["password"].startswith("$argon2id$")
    assert next(iter(json.loads(written).items())) == ("format", "lastgate/accounts/1")


def test_check_with_a_wrong_password_then_it_is_refused(store: FilesystemStore) -> None:
    Accounts(store).add("ada", "physicist", "correct horse")

    with pytest.raises(Refused, match="wrong"):
        Accounts(store).check("ada", "correct mule")


def test_check_of_nobody_then_it_tells_how_to_make_an_account(store: FilesystemStore) -> None:
    with pytest.raises(NotFound) as caught:
        Accounts(store).check("ada", "x")

    assert "lastgate account add" in caught.value.advice


@pytest.mark.parametrize(
    ("name", "role", "password"),
    [("ada", "king", "correct horse"), ("ada", "doctor", "short"), (" ", "doctor", "correct horse")],
    ids=["unknown role", "short password", "no name"],
)
def test_add_of_what_can_not_be_then_it_is_refused_with_advice(
    store: FilesystemStore, name: str, role: str, password: str
) -> None:
    with pytest.raises(Refused) as caught:
        Accounts(store).add(name, role, password)

    assert caught.value.advice
    assert Accounts(store).all() == ()


def test_add_of_a_name_that_is_taken_then_it_is_refused_and_the_first_stays(store: FilesystemStore) -> None:
    accounts = Accounts(store)
    accounts.add("ada", "physicist", "correct horse")

    with pytest.raises(Refused, match="already"):
        accounts.add("ada", "administrator", "another horse")

    assert accounts.check("ada", "correct horse").role == "physicist"


def test_all_then_accounts_stand_in_order_of_name(store: FilesystemStore) -> None:
    accounts = Accounts(store)
    for name, role in zip("cabde", ROLES, strict=True):
        accounts.add(name, role, "correct horse")

    assert [account.name for account in accounts.all()] == list("abcde")


def test_check_when_the_stored_password_is_damaged_then_it_is_refused(store: FilesystemStore) -> None:
    Accounts(store).add("ada", "physicist", "correct horse")
    path = store.root / "site/accounts.json"
    path.chmod(0o600)
    path.write_text(path.read_text().replace("$argon2id$", "$argon2xx$"))

    with pytest.raises(Refused):
        Accounts(store).check("ada", "correct horse")


def test_add_by_two_at_once_then_no_account_is_lost(store: FilesystemStore) -> None:
    def add(name: str) -> None:
        while True:
            try:
                Accounts(store).add(name, "doctor", "correct horse")
            except Replaced:
                continue
            return

    threads = [threading.Thread(target=add, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [account.name for account in Accounts(store).all()] == list("abcd")
