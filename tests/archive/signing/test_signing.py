"""Signatures, and whose key made them."""

import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from archive.signing.keys import KeyRing
from archive.signing.signing import SigningKey, canonical, is_signed
from storage.filesystem import FilesystemStore
from tests.archive.stores import NOW, overwrite


def test_key_then_it_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "node.pem"

    made = SigningKey.load_or_create(path)

    assert SigningKey.load_or_create(path).public_key == made.public_key
    assert path.stat().st_mode & 0o777 == 0o400
    assert list(path.parent.iterdir()) == [path]


def test_key_when_processes_start_at_once_then_all_have_the_same(tmp_path: Path) -> None:
    keys: list[str] = []
    threads = [
        threading.Thread(target=lambda: keys.append(SigningKey.load_or_create(tmp_path / "k.pem").public_key))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_key_when_the_file_holds_another_kind_then_it_is_not_used(tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "k.pem").write_bytes(pem)

    with pytest.raises(ValueError, match="no Ed25519 key"):
        SigningKey.load_or_create(tmp_path / "k.pem")


KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def test_sign_then_it_is_deterministic_and_the_test_vector_of_rfc_8032_holds() -> None:
    # RFC 8032 section 7.1, TEST 1: public key of the secret key 9d61b19d...
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(secret))

    assert key.public_key == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.sign({"a": 1}) == key.sign({"a": 1})


@given(body=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=4))
def test_is_signed_then_only_the_same_body_is(body: dict[str, object]) -> None:
    signature = KEY.sign(body)

    assert is_signed(dict(reversed(body.items())), signature=signature, public_key=KEY.public_key)
    assert not is_signed({**body, "more": 1}, signature=signature, public_key=KEY.public_key)


@pytest.mark.parametrize("broken", ["", "zz", "00", "0" * 128, None, 7])
def test_is_signed_when_signature_or_key_is_broken_then_it_is_not(broken: str) -> None:
    assert not is_signed({}, signature=broken, public_key=KEY.public_key)
    assert not is_signed({}, signature=KEY.sign({}), public_key=broken)


def test_canonical_then_the_order_of_keys_and_the_writing_of_characters_do_not_matter() -> None:
    assert canonical({"b": {"d": 1, "c": "乳"}, "a": None}) == '{"a":null,"b":{"c":"乳","d":1}}'.encode()


def test_key_ring_then_it_tells_whose_a_key_is_and_the_first_word_stands(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path)
    ring = KeyRing(store)
    assert ring.owner(KEY.public_key) is None

    ring.publish(KEY, node="n1", at=NOW)
    ring.publish(KEY, node="thief", at=NOW)

    assert ring.owner(KEY.public_key) == "n1"
    assert [stat.key for stat in store.list("site/keys/")] == [f"site/keys/{KEY.id}.json"]


@pytest.mark.parametrize("public_key", ["", "zz", "00"])
def test_key_ring_when_a_key_is_broken_then_it_is_nobodys(tmp_path: Path, public_key: str) -> None:
    assert KeyRing(FilesystemStore(tmp_path)).owner(public_key) is None


@pytest.mark.parametrize("body", [b"{", b'{"public_key": "other", "node": "n1"}', b"[]"])
def test_key_ring_when_the_document_is_damaged_then_the_key_is_nobodys(tmp_path: Path, body: bytes) -> None:
    store = FilesystemStore(tmp_path)
    KeyRing(store).publish(KEY, node="n1", at=NOW)
    overwrite(store, f"site/keys/{KEY.id}.json", body)

    assert KeyRing(store).owner(KEY.public_key) is None
