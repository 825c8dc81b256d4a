"""Letters to those who are asked: one for each machine, doctor or role, in Chinese and English, ready to be sent.

Nothing is sent, and no address is invented: a letter bears those that the
settings name and else none, so that a mail program opens it as a draft. It
names patients by number only: a mail leaves the archive.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from archive.errors import Refused
from lastgate.ageing import days_since, days_waiting
from lastgate.asking import Asked, Recipient
from lastgate.plaintext import fold

_SHOWN_OF_AN_ID: Final = 10
_NOT_PRINTED: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_NOT_IN_A_NAME: Final = re.compile(r"[^\w]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that is asked for; `days` says for how long it has been."""

    code: str
    message: str
    message_zh: str
    fix: str
    fix_zh: str
    since: str | None
    days: int | None
    is_urgent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One dossier in a letter.

    Parameters
    ----------
    number
        The patient's number.
    days
        For how long it has waited since its treatment ended; None where nobody knows.
    others
        How many more findings hold it, which are asked of others.
    """

    number: str
    dossier: str
    first: str | None
    last: str | None
    days: int | None
    others: int
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is asked of one machine, doctor or role."""

    recipient: Recipient
    cases: tuple[Case, ...]
    is_urgent: bool = False

    @property
    def words(self) -> tuple[str, str]:
        """What the recipient is called, in Chinese and English, in one line each: a name may hold anything."""
        zh, en = (" ".join(_NOT_PRINTED.sub(" ", one).split()) for one in self.recipient.words)
        return zh, en

    @property
    def file_name(self) -> str:
        """A name for the file, in the letters of the recipient's own."""
        parts = ("urgent" if self.is_urgent else "", self.recipient.kind.value, self.recipient.name)
        return "-".join(_NOT_IN_A_NAME.sub("-", one).strip("-") for one in parts if one)


def letters_of(
    entries: Iterable[Mapping[str, Any]],
    today: date,
    *,
    kinds: Collection[Asked] = tuple(Asked),
    is_urgent: bool = False,
) -> list[Letter]:
    """Return a letter for everybody who is asked for something, in order of kind and name.

    Parameters
    ----------
    entries
        Dossiers of the work-list, in its order.
    kinds
        To whom letters are written.
    is_urgent
        Whether only urgent findings are told.
    """
    cases: dict[Recipient, list[Case]] = {}
    for entry in entries:
        for recipient, items in _asked(entry, today, is_urgent=is_urgent).items():
            if recipient.kind in kinds:
                cases.setdefault(recipient, []).append(_case(entry, items, today))
    order = tuple(Asked)
    recipients = sorted(cases, key=lambda one: (order.index(one.kind), one.name))
    return [Letter(recipient=one, cases=tuple(cases[one]), is_urgent=is_urgent) for one in recipients]


def _asked(entry: Mapping[str, Any], today: date, *, is_urgent: bool) -> dict[Recipient, list[Item]]:
    found: dict[Recipient, list[Item]] = {}
    for finding in entry["findings"]:
        if finding["blocks"] and (finding["severity"] == "urgent" or not is_urgent):
            for one in finding["asked"]:
                recipient = Recipient(kind=Asked(one["kind"]), name=one["name"])
                found.setdefault(recipient, []).append(_item(finding, entry["id"][:_SHOWN_OF_AN_ID], today))
    return found


def _item(finding: Mapping[str, Any], dossier: str, today: date) -> Item:
    zh = finding.get("fix_zh") or finding["fix"]
    return Item(
        code=finding["id"],
        message=finding["message"],
        message_zh=finding["message_zh"],
        fix=finding["fix"].replace("DOSSIER", dossier),  # so that the command can be typed as it stands
        fix_zh=zh.replace("DOSSIER", dossier),
        since=finding["since"],
        days=days_since(finding["since"], today),
        is_urgent=finding["severity"] == "urgent",
    )


def _case(entry: Mapping[str, Any], items: Sequence[Item], today: date) -> Case:
    numbers = [one["value"] for one in entry["patient"]["ids"]]
    return Case(
        number=numbers[0] if numbers else "?",
        dossier=entry["id"][:_SHOWN_OF_AN_ID],
        first=entry["first_fraction"],
        last=entry["last_fraction"],
        days=days_waiting(entry, today),
        others=sum(finding["blocks"] for finding in entry["findings"]) - len(items),
        items=tuple(items),
    )


def message_of(letter: Letter, *, at: datetime, sender: str, addresses: Mapping[str, str]) -> EmailMessage:
    """Return a letter as a message (RFC 5322): plain text in UTF-8, Chinese first.

    Parameters
    ----------
    at
        Now, in the time zone that its readers live in.
    sender
        Address it comes from; none if empty.
    addresses
        By name of machine or doctor, or by kind (`Asked`).
    """
    message = EmailMessage(policy=SMTP.clone(cte_type="8bit"))
    zh, en = letter.words
    count = len(letter.cases)
    urgent = "【紧急】" if letter.is_urgent else ""
    message["Subject"] = f"{urgent}放疗档案待补\uff1a{zh} {count} 份 / {en}: {count} dossier{'s' if count != 1 else ''}"
    message["Date"] = format_datetime(at)
    if sender:
        message["From"] = sender
    to = _address(letter.recipient, addresses)
    if to:
        message["To"] = to
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence answers it
    message["X-Unsent"] = "1"
    if letter.is_urgent:
        message["Importance"] = "high"
    message.set_content(text_of(letter), subtype="plain", charset="utf-8", cte="8bit")
    return message


def text_of(letter: Letter) -> str:
    """Return what a letter says, in Chinese and then in English."""
    made = Environment(
        loader=PackageLoader("templates", "worklist"),
        autoescape=False,  # noqa: S701 - plain text
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["fold"] = fold
    texts = [made.get_template(f"mail.{language}.txt").render(letter=letter).strip() for language in ("zh", "en")]
    return f"\n\n{'-' * 76}\n\n".join(texts) + "\n"


def _address(recipient: Recipient, addresses: Mapping[str, str]) -> str:
    # A doctor is called by both names; either may stand in the settings.
    names = (recipient.name, *recipient.name.split(" ", 1), recipient.kind.value)
    return next((addresses[name] for name in names if name in addresses), "")


def write_letters(
    letters: Sequence[Letter], folder: Path, *, at: datetime, sender: str, addresses: Mapping[str, str]
) -> list[Path]:
    """Write each letter as a file of its own and return the files.

    Raises
    ------
    Refused
        The folder holds something: letters of another day would be sent again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise Refused(f"{folder} is not empty", hint="Name a new folder, so that no letter of another day is sent.")
    taken: Counter[str] = Counter()
    paths = []
    for letter in letters:
        taken[letter.file_name] += 1
        again = f"-{taken[letter.file_name]}" if taken[letter.file_name] > 1 else ""
        path = folder / f"{letter.file_name}{again}.eml"
        message = message_of(letter, at=at, sender=sender, addresses=addresses)
        path.write_bytes(message.as_bytes())
        paths.append(path)
    return paths
