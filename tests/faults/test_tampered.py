"""Damage and forgery in a real archive, each found and named by the commands an operator runs."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from archive.signing.signing import SigningKey
from tests.faults.lives import States
from tests.lastgate.program import environment, lastgate

Tell = Callable[[str, object], None]


def only(home: Path, pattern: str) -> Path:
    """Return the first file of the archive that fits, made writable, as for somebody at the disk."""
    path = min(home.glob(f"archive/{pattern}"))
    path.chmod(0o600)
    return path


def flip(path: Path, *, at: int = -40) -> None:
    """Flip one bit."""
    body = bytearray(path.read_bytes())
    body[at] ^= 1
    path.write_bytes(bytes(body))


def cut(path: Path) -> None:
    """Take the last half away, as a power cut does to what was not synced."""
    body = path.read_bytes()
    path.write_bytes(body[: len(body) // 2])


def edited(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a JSON file as somebody would who knows its form."""
    body = json.loads(path.read_text("utf-8"))
    change(body)
    path.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", "utf-8")


def forge_seal(home: Path) -> None:
    """Write another dossier.json and sign it with a key that is no node's, digests and inventories made to fit."""
    folder = only(home, "vault/*/*/*/*/v1/content/seal.json").parents[2]
    told, sealed = folder / "v1/content/dossier.json", folder / "v1/content/seal.json"
    before = {path: hashlib.sha512(path.read_bytes()).hexdigest() for path in (told, sealed)}
    before_256 = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in (told, sealed)}
    told.chmod(0o600)
    edited(told, lambda body: body["patient"].update(name="Nobody^Known"))
    key = SigningKey.load_or_create(home / "forger.pem")
    seal = json.loads(sealed.read_text("utf-8"))
    seal["dossier_sha256"] = hashlib.sha256(told.read_bytes()).hexdigest()
    body = {name: value for name, value in seal.items() if name not in {"signature", "public_key"}}
    seal.update(signature=key.sign(body), public_key=key.public_key)
    sealed.write_text(json.dumps(seal, indent=1, ensure_ascii=False) + "\n", "utf-8")
    inventory = (folder / "inventory.json").read_text("utf-8")
    for path in (told, sealed):
        inventory = inventory.replace(before[path], hashlib.sha512(path.read_bytes()).hexdigest())
        inventory = inventory.replace(before_256[path], hashlib.sha256(path.read_bytes()).hexdigest())
    for place in (folder, folder / "v1"):
        for name, text in (
            ("inventory.json", inventory),
            ("inventory.json.sha512", f"{hashlib.sha512(inventory.encode()).hexdigest()} inventory.json\n"),
        ):
            (place / name).chmod(0o600)
            (place / name).write_text(text, "utf-8")


def swap_lines(home: Path) -> None:
    """Put two lines of the journal in the other order."""
    path = longest_segment(home)
    first, second, third, *others = path.read_text("utf-8").splitlines()
    path.write_text("\n".join((first, third, second, *others)) + "\n", "utf-8")


def longest_segment(home: Path) -> Path:
    """Return the segment of the journal with most in it, made writable."""
    path = max(home.glob("archive/journal/*/*/*.jsonl"), key=lambda one: one.stat().st_size)
    path.chmod(0o600)
    return path


def drop_line(home: Path) -> None:
    """Take one line out of the journal."""
    path = longest_segment(home)
    first, _, *others = path.read_text("utf-8").splitlines()
    path.write_text("\n".join((first, *others)) + "\n", "utf-8")


def newest_segment(home: Path) -> Path:
    """Return the last segment of the journal."""
    return max(home.glob("archive/journal/*/*/*.jsonl"))


def forge_head(home: Path) -> None:
    """Let the signed head of the journal tell of an earlier end."""
    edited(only(home, "site/journal/*.json"), lambda head: head.update(sequence=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that happened to an archive behind the program's back.

    Parameters
    ----------
    told
        Words that stand in the answer of the command.
    """

    name: str
    happens: Callable[[Path], object]
    command: tuple[str, ...] = ("verify",)
    told: str


SEALED: Final = "vault/*/*/*/*"
IMAGE: Final = f"{SEALED}/v1/content/dicom/*/*.dcm"
TOLD: Final = f"{SEALED}/v1/content/dossier.json"
SEAL: Final = f"{SEALED}/v1/content/seal.json"
INVENTORY: Final = f"{SEALED}/inventory.json"
DECLARATION: Final = f"{SEALED}/0=ocfl_object_1.1"


def sealed(name: str, happens: Callable[[Path], object], told: str) -> Case:
    """Return what happens to a file of the vault."""
    return Case(name=name, happens=happens, told=told)


def journal(name: str, happens: Callable[[Path], object], told: str = "journal/") -> Case:
    """Return what happens to the journal."""
    return Case(name=name, happens=happens, told=told, command=("journal", "--verify"))


CASES: Final = (
    sealed("bit of a sealed image", lambda home: flip(only(home, IMAGE)), ".dcm"),
    sealed("bit in the header of a sealed image", lambda home: flip(only(home, IMAGE), at=200), ".dcm"),
    sealed("sealed image missing", lambda home: only(home, IMAGE).unlink(), "missing"),
    sealed("sealed image truncated", lambda home: cut(only(home, IMAGE)), ".dcm"),
    sealed("sealed image empty", lambda home: only(home, IMAGE).write_bytes(b""), ".dcm"),
    sealed("bit of dossier.json", lambda home: flip(only(home, TOLD)), "dossier.json"),
    sealed("bit of the seal", lambda home: flip(only(home, SEAL)), "seal"),
    sealed("seal missing", lambda home: only(home, SEAL).unlink(), "seal"),
    sealed("forged seal", forge_seal, "no node's"),
    sealed("bit of the inventory", lambda home: flip(only(home, INVENTORY)), "inventory.json"),
    sealed("bit of the inventory's digest", lambda home: flip(only(home, f"{INVENTORY}.sha512"), at=3), "inventory"),
    sealed("bit of a version's inventory", lambda home: flip(only(home, f"{SEALED}/v1/inventory.json")), "v1/"),
    sealed("declaration missing", lambda home: only(home, DECLARATION).unlink(), "0=ocfl_object_1.1"),
    sealed("file put in", lambda home: only(home, TOLD).with_name("more.txt").write_text("x"), "more.txt"),
    sealed("bit of an object in the intake", lambda home: flip(only(home, "intake/dicom/*/*")), "intake/"),
    journal("bit of a journal line", lambda home: flip(longest_segment(home), at=-90)),
    journal("journal line removed", drop_line),
    journal("journal lines in other order", swap_lines),
    journal("journal segment lost", lambda home: longest_segment(home).unlink(), "journal"),
    journal("last journal segment lost", lambda home: newest_segment(home).unlink(), "head"),
    journal("journal segment truncated", lambda home: cut(longest_segment(home))),
    journal("head of the journal forged", forge_head, "head"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_archive_when_something_happened_to_it_then_the_command_names_it(
    case: Case, states: States, swift_path: Path, record_property: Tell
) -> None:
    homes = [Path(shutil.copytree(states.late, swift_path / name)) for name in ("one", "other")]

    for home in homes:
        case.happens(home)
    answer = lastgate(*case.command, env=environment(homes[0]))
    as_json = lastgate(*case.command, "--json", env=environment(homes[1]))  # what can be mended, the first one mended

    assert (answer.code, as_json.code) == (1, 1), answer.out + answer.err
    assert case.told in answer.words + answer.err
    assert isinstance(as_json.json, dict)
    record_property("faults", {"tamper cases found": 1})


@pytest.mark.parametrize("command", [("verify",), ("journal", "--verify")], ids=" ".join)
def test_archive_when_nothing_happened_to_it_then_the_command_says_so(
    command: tuple[str, ...], states: States, swift_path: Path
) -> None:
    home = Path(shutil.copytree(states.late, swift_path / "home"))

    assert lastgate(*command, env=environment(home)).code == 0
