"""The OCFL package: a storage root of its own with one object, as the vault holds it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from archive.errors import Refused, SealBroken
from archive.handover.contents import Contents, Payload, made_here, receipts_by_digest, sealed_file
from archive.handover.writing import PackageFolder
from archive.model import Dossier
from archive.vault import ocfl
from archive.vault.ocfl import ContentFile, Inventory
from archive.vault.places import Places
from archive.vault.vault import README, Vault

_AGENT: Final = "lastgate"


def sealed_object(dossier: Dossier, *, vault: Vault, places: Places) -> Contents:
    """Return all versions of a sealed dossier with their inventories, by their places in a storage root.

    Raises
    ------
    Refused
        It is not sealed.
    SealBroken
        An inventory is not the one whose digest stands beside it.
    """
    inventory = vault.inventory(dossier.id)
    if inventory is None:
        hint = "Seal it first, or export it as a bag: lastgate export DOSSIER DIR --format bagit"
        raise Refused("Only a sealed dossier is an OCFL object, and this one is not sealed", hint=hint)
    folder, receipts = ocfl.object_folder(dossier.id), receipts_by_digest(dossier)
    place = folder.removeprefix(f"{ocfl.ROOT}/")
    content = [
        sealed_file(f"{place}/{path}", f"{folder}/{path}", sha256, receipts=receipts, vault=vault, places=places)
        for path, (_, sha256) in sorted(ocfl.content_paths(inventory).items())
    ]
    files = (*content, *_inventories(inventory, folder, place, vault))
    return Contents(dossier=dossier.id, version=dossier.version, files=files)


def write_object(package: PackageFolder, contents: Contents) -> None:
    """Write a storage root with an object as it stands in the vault; its declarations come last."""
    _write_root(package)
    for file in contents.files:
        package.write(file.path, file.pieces(), sha256=file.sha256)
    _declare(package, contents.dossier)


def write_new_object(package: PackageFolder, contents: Contents, *, created: datetime) -> None:
    """Write a storage root with an object of one version that no vault holds."""
    _write_root(package)
    place = ocfl.object_folder(contents.dossier).removeprefix(f"{ocfl.ROOT}/")
    files = []
    for file in contents.files:
        written = package.write(f"{place}/v1/content/{file.path}", file.pieces(), sha256=file.sha256)
        files.append(
            ContentFile(path=file.path, sha512=written.sha512, sha256=written.sha256, size_bytes=written.size_bytes)
        )
    inventory = ocfl.encode(
        ocfl.next_inventory(
            contents.dossier, None, files, created=created.isoformat(), message="Exported", account=_AGENT
        )
    )
    for folder in (f"{place}/v1", place):
        package.write(f"{folder}/{ocfl.INVENTORY}", [inventory])
        package.write(f"{folder}/{ocfl.SIDECAR}", [ocfl.sidecar(inventory)])
    _declare(package, contents.dossier)


def _inventories(inventory: Inventory, folder: str, place: str, vault: Vault) -> Iterator[Payload]:
    for version in (*inventory["versions"], ""):
        at = f"{version}/" if version else ""
        body = b"".join(vault.read(f"{folder}/{at}{ocfl.INVENTORY}"))
        beside = b"".join(vault.read(f"{folder}/{at}{ocfl.SIDECAR}"))
        if beside != ocfl.sidecar(body):
            raise SealBroken(f"The inventory {at}{ocfl.INVENTORY} is not the one whose digest stands beside it")
        yield made_here(f"{place}/{at}{ocfl.INVENTORY}", body)
        yield made_here(f"{place}/{at}{ocfl.SIDECAR}", beside)


def _write_root(package: PackageFolder) -> None:
    for key, body in ocfl.root_files(README).items():
        path = key.removeprefix(f"{ocfl.ROOT}/")
        if path != ocfl.ROOT_DECLARATION:
            package.write(path, [body])


def _declare(package: PackageFolder, dossier: str) -> None:
    place = ocfl.object_folder(dossier).removeprefix(f"{ocfl.ROOT}/")
    package.write(f"{place}/{ocfl.OBJECT_DECLARATION}", [ocfl.declaration()])
    package.write(ocfl.ROOT_DECLARATION, [ocfl.root_files(README)[f"{ocfl.ROOT}/{ocfl.ROOT_DECLARATION}"]])
