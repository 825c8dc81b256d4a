"""Checking bags (RFC 8493): whole and true to their manifests, or refused."""

import re
from typing import Final

from ingest.errors import BadPackage
from ingest.folders.checked import Checked, compare, digests_in, refuse, text_of
from ingest.folders.markers import BAG_DECLARATION
from ingest.folders.trees import Tree

_ALGORITHMS: Final = frozenset({"sha256", "sha512"})
"""Others are no proof any more (MD5, SHA-1), or nobody's habit."""
_TAG_FILES: Final = frozenset({BAG_DECLARATION, "bag-info.txt"})
_MANIFEST: Final = re.compile(r"(tag)?manifest-([a-z0-9]+)\.txt")
_VERSION: Final = re.compile(r"BagIt-Version: (0\.9[3-7]|1\.0)\r?\nTag-File-Character-Encoding: UTF-8\r?\n?", re.I)


def check_bag(tree: Tree) -> Checked:
    """Read a bag against its manifests.

    Raises
    ------
    BadPackage
        It is not whole, not true to its manifests, or has none that prove anything.
    """
    if not _VERSION.fullmatch(text_of(tree, BAG_DECLARATION)):
        raise BadPackage(f"{BAG_DECLARATION} does not say that it is a bag of version 0.93 to 1.0 in UTF-8")
    if "fetch.txt" in tree.names:
        raise BadPackage("It is a bag with holes (fetch.txt): a part of it would have to be fetched from elsewhere")
    manifests = {name: told for name in tree.names if (told := _MANIFEST.fullmatch(name)) and told[2] in _ALGORITHMS}
    wanted: dict[str, dict[str, str]] = {}
    payload = {name for name in tree.names if name.startswith("data/")}
    proven = False
    for name, told in manifests.items():
        digests = {_decoded(path): digest for path, digest in digests_in(text_of(tree, name), name).items()}
        if told[1] is None:
            proven = True
            refuse([f"{one} stands in no line of {name}" for one in sorted(payload - set(digests))])
            refuse([f"{name} names {one}, which is no payload" for one in digests if not one.startswith("data/")])
        for path, digest in digests.items():
            wanted.setdefault(path, {})[told[2]] = digest
    if not proven:
        raise BadPackage("It has no manifest of SHA-256 or SHA-512")
    sha256s = compare(tree, wanted)
    own = {name for name in tree.names if name in _TAG_FILES or _MANIFEST.fullmatch(name)}
    held = {name.removeprefix("data/"): name for name in sorted(payload)}
    return Checked(payload=held, sha256s=sha256s, own=frozenset(own))


def _decoded(path: str) -> str:
    """Return a path of a manifest as the file is called (RFC 8493 2.1.3); others do not encode the percent sign."""
    return re.sub(r"%(0[AaDd]|25)", lambda found: chr(int(found[1], 16)), path)
