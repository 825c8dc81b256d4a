"""Letters: one for each who is asked, readable, well-formed, and with no address nobody gave."""

import email
from datetime import UTC, date, datetime
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from archive.errors import Refused
from lastgate.asking import Asked
from lastgate.mailing import Letter, letters_of, message_of, text_of, write_letters

TODAY = date(2026, 11, 23)
AT = datetime(2026, 11, 23, 8, tzinfo=UTC)


def finding(code: str, kind: str, *names: str, severity: str = "blocking", blocks: bool = True) -> dict[str, Any]:
    return {
        "id": code,
        "code": code,
        "severity": severity,
        "blocks": blocks,
        "message": f"{code} happened.",
        "message_zh": f"发生了 {code}\u3002",
        "fix": "lastgate sign DOSSIER",
        "fix_zh": "请签字\u3002",
        "since": "2026-11-01",
        "asked": [{"kind": kind, "name": name} for name in names or ("",)],
    }


def entry(identity: str, *findings: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": identity * 13,
        "patient": {"name": "Li^XiuYing", "ids": [{"value": f"H-{identity}", "issuer": ""}]},
        "first_fraction": "2026-10-01",
        "last_fraction": "2026-11-13",
        "since": "2026-11-01",
        "findings": list(findings),
    }


MACHINE = finding("FRACTIONS-MISSING", "machine", "LINAC1")
DOCTOR = finding("CONSENT-MISSING", "doctor", "李明 Li Ming")
URGENT = finding("SIDE-DIFFERS", "physicist", severity="urgent")
ENTRIES = [
    entry("aaaa", MACHINE, DOCTOR, URGENT),
    entry("bbbb", MACHINE, finding("CHECK-MISSING", "physicist", blocks=False)),
]


def read(message: EmailMessage) -> EmailMessage:
    """Return a message as a mail program reads its bytes."""
    found = email.message_from_bytes(message.as_bytes(), policy=default)
    assert isinstance(found, EmailMessage)
    assert not found.defects
    return found


def one_for(kind: Asked, **options: Any) -> Letter:
    (letter,) = letters_of(ENTRIES, TODAY, kinds=(kind,), **options)
    return letter


def test_letters_when_several_are_asked_then_each_gets_what_is_asked_of_them_alone() -> None:
    letters = letters_of(ENTRIES, TODAY)
    assert [(one.recipient.kind, one.recipient.name) for one in letters] == [
        (Asked.MACHINE, "LINAC1"),
        (Asked.PHYSICIST, ""),
        (Asked.DOCTOR, "李明 Li Ming"),
    ]
    machine = one_for(Asked.MACHINE)
    assert [(case.number, case.others, case.days) for case in machine.cases] == [("H-aaaa", 2, 10), ("H-bbbb", 0, 10)]
    assert {item.code for case in machine.cases for item in case.items} == {"FRACTIONS-MISSING"}


def test_letters_when_only_the_urgent_are_wanted_then_is_one_to_the_physicist() -> None:
    (letter,) = letters_of(ENTRIES, TODAY, is_urgent=True)
    assert (letter.recipient.kind, letter.file_name) == (Asked.PHYSICIST, "urgent-physicist")
    message = read(message_of(letter, at=AT, sender="", addresses={}))
    assert message["Importance"] == "high"
    assert "紧急" in message["Subject"]
    assert "Please check today" in message.get_content()


def test_text_when_read_then_says_what_of_whom_since_when_and_what_to_do_in_both_languages() -> None:
    chinese, english = text_of(one_for(Asked.MACHINE)).split("-" * 76)
    assert "治疗机 LINAC1\uff1a" in chinese
    assert "1. 病历号 H-aaaa  档案 aaaaaaaaaa" in chinese
    assert "自 2026-11-01 起 22 天" in chinese
    assert "处理\uff1a请签字" in chinese
    assert "To the treatment machine LINAC1:" in english
    assert "since 2026-11-01 (22 days)" in english
    assert "To do: lastgate sign bbbbbbbbbb" in english
    assert "{" not in chinese + english


def test_text_when_read_then_names_no_patient() -> None:
    assert "Li^XiuYing" not in "".join(text_of(letter) for letter in letters_of(ENTRIES, TODAY))


def test_message_when_no_address_is_known_then_bears_none_and_opens_as_a_draft() -> None:
    message = read(message_of(one_for(Asked.DOCTOR), at=AT, sender="", addresses={}))
    assert (message["From"], message["To"], message["X-Unsent"]) == (None, None, "1")
    assert message["Date"] == "Mon, 23 Nov 2026 08:00:00 +0000"
    assert "李明 Li Ming" in message["Subject"]
    assert message.get_content_type() == "text/plain"
    assert message["Content-Transfer-Encoding"] == "8bit"


@pytest.mark.parametrize("key", ["李明 Li Ming", "李明", "Li Ming", "doctor"])
def test_message_when_the_settings_name_an_address_then_goes_there(key: str) -> None:
    addresses = {key: "li@hospital.example", "machine": "rv@hospital.example"}
    message = read(message_of(one_for(Asked.DOCTOR), at=AT, sender="archive@hospital.example", addresses=addresses))
    assert (message["From"], message["To"]) == ("archive@hospital.example", "li@hospital.example")


def test_write_when_the_folder_is_new_then_one_file_each_whose_name_says_for_whom(tmp_path: Path) -> None:
    hostile = entry("cccc", finding("RECORDS-MISSING", "machine", "../../etc/x"))
    twin = entry("dddd", finding("RECORDS-MISSING", "machine", "etc x"))
    letters = letters_of([*ENTRIES, hostile, twin], TODAY)
    paths = write_letters(letters, tmp_path / "mail", at=AT, sender="", addresses={})
    assert sorted(path.name for path in paths) == [
        "doctor-李明-Li-Ming.eml",
        "machine-LINAC1.eml",
        "machine-etc-x-2.eml",
        "machine-etc-x.eml",
        "physicist.eml",
    ]
    assert {path.parent for path in paths} == {tmp_path / "mail"}
    assert all("病历号" in path.read_text("utf-8") for path in paths)


def test_write_when_the_folder_holds_letters_of_another_day_then_refused(tmp_path: Path) -> None:
    (tmp_path / "old.eml").touch()
    with pytest.raises(Refused, match="not empty"):
        write_letters(letters_of(ENTRIES, TODAY), tmp_path, at=AT, sender="", addresses={})


def test_message_when_a_name_holds_a_line_break_then_no_header_is_added() -> None:
    (letter,) = letters_of([entry("eeee", finding("RECORDS-MISSING", "machine", "L1\r\nBcc: x@y.example"))], TODAY)
    message = read(message_of(letter, at=AT, sender="", addresses={}))
    assert message["Bcc"] is None
