"""Independent judges of packages: ocfl-py, bagit, DCMTK and dicom3tools share no line with ours."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import bagit
from pydicom import dcmread

ROOT = Path(__file__).parents[1]
_OCFL = ROOT / ".tools" / "ocfl" / "bin"
_DCMMKDIR = "/usr/bin/dcmmkdir"
_ADVICE = re.compile(r"\[W(?!005|008)")
"""Warnings of the validator but two: our ids are no URIs, and accounts have no address."""


def _run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=300, check=False, errors="replace"
    )


def install_ocfl() -> None:
    """Install ocfl-py into an environment of its own, if it is not there."""
    subprocess.run([ROOT / "tests" / "servers" / "install-ocfl.sh"], check=True, timeout=300)


def ocfl_verdict(roots: Sequence[Path]) -> list[str]:
    """Return what ocfl-py has against storage roots and the objects in them; it judges many at a time."""
    objects = [found.parent for root in roots for found in root.rglob("0=ocfl_object_1.1")]
    told = _run(_OCFL / "ocfl-validate.py", *objects)
    wrong = [] if told.stdout.count("is VALID") == len(objects) == len(roots) else [told.stdout + told.stderr]
    wrong += [line for line in told.stdout.splitlines() if _ADVICE.search(line)]
    layout = [_run(_OCFL / "ocfl-root.py", "validate", "--root", root) for root in roots[:1]]
    return wrong + [one.stdout for one in layout if one.returncode or "is VALID" not in one.stdout]


def bag_verdict(bag: Path) -> list[str]:
    """Return what bagit has against a bag."""
    try:
        bagit.Bag(str(bag)).validate()
    except bagit.BagError as error:
        return [str(error)]
    return []


def medium_verdict(medium: Path) -> list[str]:
    """Return what dicom3tools and DCMTK have against a medium.

    DCMTK makes a directory of its own of the same files: it must name the same ones.
    """
    directory = medium / "DICOMDIR"
    told = _run("/usr/bin/dciodvfy", directory)
    wrong = [line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error")]
    if _run("/usr/bin/dcmdump", "-q", directory).returncode:
        wrong.append("dcmdump can't read its DICOMDIR")
    named = _named(directory)
    wrong += [
        f"{name} is no File ID" for name in named if not re.fullmatch(r"[A-Z0-9_]{1,8}(/[A-Z0-9_]{1,8}){0,7}", name)
    ]
    if not named:
        return wrong
    again = medium.with_name(f"{medium.name}.again")
    made = _run(
        *(
            _DCMMKDIR,
            "--no-xfer-check",
            "--no-encoding-check",
            "--no-resolution-check",
            "--invent",
            "--invent-patient-id",
        ),
        *("--no-backup", "--output-file", again, "--input-directory", medium, *named),
    )
    if made.returncode or _named(again) != named:
        wrong.append(f"dcmmkdir: {made.stderr}")
    again.unlink(missing_ok=True)
    return wrong


def _named(directory: Path) -> list[str]:
    records = dcmread(directory).DirectoryRecordSequence
    files = [record.ReferencedFileID for record in records if record.get("ReferencedFileID")]
    return sorted("/".join([one] if isinstance(one, str) else one) for one in files)
