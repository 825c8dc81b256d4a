"""Keeps what tells of a package that comes in, beside the archive's own facts: who packed it, who sealed it, when."""

import io
from collections.abc import Callable

from archive.journal.journal import Event
from archive.signing.keys import KeyRing
from ingest.folders.packages import Package
from lastgate.wiring import House


def keeping_of(house: House) -> Callable[[Package], str]:
    """Return what keeps the files that tell of a package, journals it, and says in words who sealed it."""

    def keep(package: Package) -> str:
        for sha256, body in package.told.items():
            key = f"intake/packages/{sha256[:2]}/{sha256}"
            house.stores.work.put_if_absent(key, io.BytesIO(body), sha256=sha256, size_bytes=len(body))
        subject: dict[str, object] = {
            "package": package.kind.value,
            "from": package.shown,
            "files": len(package.files),
            "dossier": package.dossier,
            "dossier_sha256": package.dossier_sha256,
            "seal_sha256": package.seal_sha256,
            "key": package.seal.public_key if package.seal else "",
        }
        house.journal.append(Event(act="import", account=house.acting, subject=subject))
        return _seal_in_words(package, KeyRing(house.stores.work))

    return keep


def _seal_in_words(package: Package, keys: KeyRing) -> str:
    seal = package.seal
    if seal is None:
        return "Nobody has sealed it." if package.dossier else ""
    told = f"Sealed by {seal.account} at {seal.made_at}; the signature is good"
    node = keys.owner(seal.public_key)
    if node is not None:
        return f"{told}, by the key of {node}."
    return f"{told}, by the key {seal.key_id}, which is none of this archive: ask the sender whether it is his."
