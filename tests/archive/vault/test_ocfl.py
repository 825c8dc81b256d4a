"""The format of the vault: pure functions, compared with the specification."""

import hashlib
import json

import pytest

from archive.vault.ocfl import (
    ContentFile,
    Inventory,
    content_paths,
    encode,
    logical_paths,
    next_inventory,
    object_folder,
    root_files,
    sidecar,
)


def content(path: str, body: str = "") -> ContentFile:
    data = (body or path).encode()
    return ContentFile(
        path=path,
        sha512=hashlib.sha512(data).hexdigest(),
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
    )


def inventory(*files: ContentFile, before: Inventory | None = None) -> Inventory:
    return next_inventory("abc", before, files, created="2024-01-01T00:00:00Z", message="m", account="ada")


def test_object_folder_then_it_is_the_example_of_extension_0003() -> None:
    # OCFL extension 0003, example 1 (sha256, three tuples of three): object id "object-01"
    assert object_folder("object-01") == "vault/3c0/ff4/240/object-01"


def test_next_inventory_then_a_file_of_the_version_before_is_not_stored_again() -> None:
    first = inventory(content("a"), content("b"))
    second = inventory(content("a"), content("b", "changed"), content("c"), before=first)

    assert second["head"] == "v2"
    assert logical_paths(second) == {
        "a": "v1/content/a",
        "b": "v2/content/b",
        "c": "v2/content/c",
    }
    assert logical_paths(second, "v1") == {"a": "v1/content/a", "b": "v1/content/b"}
    assert first["head"] == "v1"
    assert set(content_paths(first)) == {"v1/content/a", "v1/content/b"}


def test_next_inventory_when_two_files_have_the_same_bytes_then_one_of_them_is_stored() -> None:
    both = inventory(content("a", "same"), content("b", "same"))

    assert logical_paths(both) == {"a": "v1/content/a", "b": "v1/content/a"}
    assert set(content_paths(both)) == {"v1/content/a"}


def test_content_paths_then_each_has_both_digests() -> None:
    one = content("a")

    assert content_paths(inventory(one)) == {"v1/content/a": (one.sha512, one.sha256)}


def test_encode_then_it_is_the_same_for_the_same_inventory_and_its_sidecar_fits() -> None:
    body = encode(inventory(content("a"), content("b")))

    assert body == encode(json.loads(body))
    assert sidecar(body) == f"{hashlib.sha512(body).hexdigest()} inventory.json\n".encode()


@pytest.mark.parametrize("name", ["0=ocfl_1.1", "ocfl_layout.json", "README.txt"])
def test_root_files_then_what_the_specification_asks_for_is_there(name: str) -> None:
    files = root_files("read me")

    assert f"vault/{name}" in files
    assert files["vault/0=ocfl_1.1"] == b"ocfl_1.1\n"
    layout = json.loads(files["vault/ocfl_layout.json"])
    config = json.loads(files[f"vault/extensions/{layout['extension']}/config.json"])
    assert config["extensionName"] == layout["extension"] == "0003-hash-and-id-n-tuple-storage-layout"
