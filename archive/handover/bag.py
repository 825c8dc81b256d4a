"""The BagIt package (RFC 8493): a folder with manifests that any bag tool, or ``sha512sum``, checks."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final, Literal

from archive.handover.contents import Contents
from archive.handover.writing import PackageFolder, Written

_ALGORITHMS: Final[tuple[Literal["sha256", "sha512"], ...]] = ("sha256", "sha512")
_DECLARATION: Final = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"


def write_bag(package: PackageFolder, contents: Contents, *, program: str, day: date) -> None:
    """Write a bag; its declaration comes last.

    Parameters
    ----------
    program
        Name and version of this program.
    day
        On which it is made.
    """
    payload = [package.write(f"data/{file.path}", file.pieces(), sha256=file.sha256) for file in contents.files]
    for algorithm in _ALGORITHMS:
        package.write(f"manifest-{algorithm}.txt", [_manifest(payload, algorithm)])
    package.write("bag-info.txt", [_info(contents, payload, program=program, day=day)])
    package.write("bagit.txt", [_DECLARATION])
    tags = [package.written[path] for path in sorted(package.written) if not path.startswith("data/")]
    for algorithm in _ALGORITHMS:
        package.write(f"tagmanifest-{algorithm}.txt", [_manifest(tags, algorithm)])


def _info(contents: Contents, payload: Iterable[Written], *, program: str, day: date) -> bytes:
    """Return what bag-info.txt tells; nothing in it names a person."""
    sizes = [file.size_bytes for file in payload]
    told: Mapping[str, str] = {
        "Bag-Software-Agent": program,
        "Bagging-Date": day.isoformat(),
        "External-Identifier": contents.dossier,
        "Internal-Sender-Description": f"Version {contents.version}" if contents.version else "Not sealed",
        "Payload-Oxum": f"{sum(sizes)}.{len(sizes)}",
    }
    return "".join(f"{name}: {value}\n" for name, value in told.items()).encode()


def _manifest(files: Iterable[Written], algorithm: Literal["sha256", "sha512"]) -> bytes:
    lines = (f"{getattr(file, algorithm)}  {_encoded(file.path)}\n" for file in files)
    return "".join(lines).encode()


def _encoded(path: str) -> str:
    """Return a path as a manifest writes it (RFC 8493 2.1.3)."""
    return path.replace("%", "%25").replace("\n", "%0A").replace("\r", "%0D")
