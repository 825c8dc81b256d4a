"""Checking DICOM media: what their DICOMDIR names must lie on them, and what we wrote must be what we wrote."""

import io
import re
import warnings
from typing import Final

from pydicom import dcmread

from ingest.errors import BadPackage
from ingest.folders.checked import Checked, bytes_of, compare, digests_in, refuse, text_of
from ingest.folders.markers import DICOMDIR
from ingest.folders.trees import Tree

BESIDE: Final = "LASTGATE/"
DIGESTS: Final = f"{BESIDE}manifest-sha256.txt"
_COMPONENT: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""PS3.10 8.5 allows eight of A-Z, 0-9 and _; many write longer ones, which lead nowhere else either."""


def check_medium(tree: Tree) -> Checked | None:
    """Read a medium against its list of digests; None if it has none, since we did not write it.

    Raises
    ------
    BadPackage
        Its DICOMDIR names files outside of the medium, or it is not whole or not true to its list.
    """
    index = next(name for name in tree.names if name.lower() == DICOMDIR)
    referenced = _referenced(bytes_of(tree, index))
    if DIGESTS not in tree.names:
        return None
    digests = digests_in(text_of(tree, DIGESTS), DIGESTS)
    refuse([f"{name} stands in no line of {DIGESTS}" for name in tree.names if name not in {DIGESTS, *digests}])
    refuse([f"{index} names {name}, which is missing" for name in referenced if name not in tree.names])
    sha256s = compare(tree, {name: {"sha256": digest} for name, digest in digests.items()})
    own = frozenset({index, DIGESTS, "README.TXT"})
    held = {name.removeprefix(BESIDE): name for name in digests if name not in own}
    return Checked(payload=held, sha256s=sha256s, own=own)


def _referenced(body: bytes) -> list[str]:
    """Return the files a DICOMDIR names; none if it is no DICOMDIR that can be read, which harms nobody."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            records = dcmread(io.BytesIO(body), force=True).get("DirectoryRecordSequence") or []
            named = [record.get("ReferencedFileID") for record in records]
        except Exception:  # noqa: BLE001 - whatever pydicom can't read names no file, and the files are found without it
            return []
    found = []
    for one in named:
        if one:
            parts = [one] if isinstance(one, str) else list(map(str, one))
            if any(part in (".", "..") or not _COMPONENT.fullmatch(part) for part in parts):
                raise BadPackage(f"Its DICOMDIR names a file outside of the medium: {'/'.join(parts)[:120]!r}")
            found.append("/".join(parts))
    return found
