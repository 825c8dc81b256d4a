"""What stands in for names, identifiers, dates and labels: made with a secret key, the same every time.

Who has the key can tell which pseudonym a known patient has; who has only the
packages can't go back. The key is a file of mode 0400 and is in no package.
"""

import base64
import hashlib
import hmac
import os
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

from pydicom.uid import UID

from archive.dates import parse_date
from archive.facts.receipts import PatientKey
from archive.uids import is_own, own_uid
from storage.durable import sync_file, sync_folder, write_all

_KEY_BYTES: Final = 32
_OWNER_READS: Final = 0o400
_FEWEST_WEEKS, _MOST_WEEKS = 52, 520


def load_or_create_key(path: Path) -> bytes:
    """Return the secret key in a file, which is made with mode 0400 if it is missing.

    Raises
    ------
    ValueError
        The file holds something else, or others may read it.
    """
    if not path.exists():
        _create(path)
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path} can be read by others; run chmod 0400 {path}")
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise ValueError(f"{path} is no key of {_KEY_BYTES} bytes")
    return key


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_READS)
    try:
        write_all(descriptor, os.urandom(_KEY_BYTES))
        sync_file(descriptor)
        with suppress(FileExistsError):  # of two processes the first one's key stands
            os.link(unfinished, path)
    finally:
        os.close(descriptor)
        unfinished.unlink()
    sync_folder(path.parent)


class Pseudonyms:
    """Stand-ins for what tells of one patient.

    Parameters
    ----------
    key
        The secret.
    patient
        Whose they are: dates move by another number of weeks for each patient.
    """

    def __init__(self, key: bytes, patient: PatientKey) -> None:
        self._key = key
        digest = self._digest("patient", patient)
        self.patient_id = f"LG-{_letters(digest, 10)}"
        weeks = _FEWEST_WEEKS + int.from_bytes(self._digest("weeks", patient)[:8]) % (_MOST_WEEKS - _FEWEST_WEEKS)
        self._moved = timedelta(weeks=weeks)

    def uid(self, uid: str) -> str:
        """Return the UID that stands in for one; those of the standard itself name nobody and stay.

        Only what is registered stays (PS3.6 Annex A): there are systems that make UIDs of instances, with the
        date and time in them, below the root of the standard.
        """
        if UID(uid).name != uid:
            return uid
        if is_own(uid):  # what we made stays known as ours: assembly takes no composite for the dose of a plan
            return own_uid("pseudonym", self._digest("uid", uid).hex())
        return f"2.25.{int.from_bytes(self._digest('uid', uid)[:16])}"

    def label(self, text: str) -> str:
        """Return what stands in for a text: the same for the same text, at most 16 characters."""
        return f"LG-{_letters(self._digest('label', text.strip()), 8)}"

    def day(self, text: str) -> str:
        """Return a day (DA) so many weeks earlier; weekdays and intervals stay. Empty if it is none."""
        day = parse_date(text)
        if day is None or day.toordinal() <= self._moved.days:
            return ""
        return f"{date.fromordinal(day.toordinal() - self._moved.days):%Y%m%d}"

    def moment(self, text: str) -> str:
        """Return a date and time (DT) so many weeks earlier; empty without a whole date."""
        day = self.day(text[:8])
        return f"{day}{text[8:]}" if day else ""

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.new(self._key, f"{kind}\0{text}".encode(), hashlib.sha256).digest()


def _letters(digest: bytes, count: int) -> str:
    return base64.b32encode(digest).decode()[:count]
