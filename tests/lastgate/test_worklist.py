"""The work-list: urgent first, then the oldest; who is asked; and nothing in its JSON that depends on today."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from lastgate import worklist as module
from lastgate.ageing import days_since, days_waiting, proposes_to_close
from lastgate.settings import Settings
from lastgate.wiring import House, open_house
from lastgate.worklist import entry_of, urgent_only, worklist
from search.documents import Document, dossier_document

TODAY = date(2026, 11, 23)


def finding(code: str, *, severity: str = "blocking", blocks: bool = True, **values: Any) -> dict[str, Any]:
    usual = {"id": code, "code": code, "severity": severity, "blocks": blocks, "since": "2026-11-01"}
    told = {"waivable_by": ["physicist"], "waivers": [], "message": code, "message_zh": code, "fix": "", "fix_zh": ""}
    return {**usual, **told, "instance_uids": ["1.2.3"], **values}


def body(identity: str = "d1", *findings: dict[str, Any], **values: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "id": identity,
        "state": "open",
        "version": 0,
        "outcome": None,
        "patient": {"ids": [{"value": "H-1", "issuer": "", "kind": ""}], "name": "Li^Ming", "names": ["Li^Ming"]},
        "first_fraction": "2026-10-01",
        "last_fraction": "2026-11-13",
        "plan_date": None,
        "late": 0,
        "plans": [{"uid": "1.2", "machine": "LINAC1", "delivery_state": "delivered"}],
        "physicians": ["Wu^Hua"],
        "findings": list(findings),
    }
    return {**usual, **values}


def document(told: dict[str, Any]) -> Document:
    return dossier_document(told, patient_key="ab" * 32, version=1)


@pytest.fixture
def house(tmp_path: Path) -> Any:
    with open_house(Settings(home=tmp_path)) as opened:
        yield opened


def _put(house: House, *bodies: dict[str, Any]) -> None:
    house.index.put([document(one) for one in bodies])
    house.index.refresh()


def test_worklist_when_dossiers_wait_then_urgent_ones_come_first_and_then_the_oldest(house: House) -> None:
    _put(
        house,
        body("new", finding("DOSE-MISSING"), last_fraction="2026-11-20"),
        body("old", finding("DOSE-MISSING"), last_fraction="2026-01-20"),
        body("undated", finding("DOSE-MISSING"), first_fraction=None, last_fraction=None),
        body("urgent", finding("SIDE-DIFFERS", severity="urgent"), last_fraction="2026-11-22"),
        body("signed", finding("SIDE-DIFFERS", severity="urgent", blocks=False), state="ready"),
    )
    entries = worklist(house)["dossiers"]
    assert [one["id"] for one in entries] == ["urgent", "old", "signed", "new", "undated"]
    assert [one["id"] for one in urgent_only(entries)] == ["urgent"]


def test_worklist_when_there_are_more_than_a_page_then_all_are_listed_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGE", 3)
    names = {f"d{number:02}" for number in range(10)}
    _put(house, *(body(name, finding("DOSE-MISSING")) for name in names))
    found = [one["id"] for one in worklist(house)["dossiers"]]
    assert (len(found), set(found)) == (10, names)


def test_worklist_when_a_sealed_dossier_waits_for_an_addendum_then_is_listed_as_late(house: House) -> None:
    _put(
        house,
        body("quiet", state="sealed"),
        body("arrived", finding("LATE", severity="note", blocks=False), state="sealed", late=2),
        body("paper", finding("SUMMARY-OUTDATED"), state="sealed"),
    )
    told = worklist(house)
    assert {one["id"] for one in told["late"]} == {"arrived", "paper"}
    assert told["dossiers"] == []


def test_entry_when_something_is_missing_then_says_of_whom_and_since_when() -> None:
    entry = entry_of(
        body("d1", finding("FRACTIONS-MISSING", since="2026-11-03"), finding("CONSENT-MISSING", since="2026-11-02"))
    )
    assert [one["asked"] for one in entry["findings"]] == [
        [{"kind": "machine", "name": "LINAC1"}],
        [{"kind": "doctor", "name": "Wu Hua"}],
    ]
    assert (entry["since"], entry["machines"], entry["doctors"]) == ("2026-11-02", ["LINAC1"], ["Wu Hua"])
    assert "instance_uids" not in entry["findings"][0]


def test_entry_when_nobody_closed_the_course_then_tells_since_when_it_is_silent() -> None:
    silent = entry_of(body("d1", finding("NOT-CLOSED")))
    proposed = entry_of(body("d1", finding("CLOSE-PROPOSED")))
    closed = entry_of(body("d1", finding("DOSE-MISSING")))
    assert (silent["silent_since"], silent["close_proposed"]) == ("2026-11-13", False)
    assert (proposed["silent_since"], proposed["close_proposed"]) == ("2026-11-13", True)
    assert closed["silent_since"] is None


def test_entry_when_written_as_json_then_holds_no_age() -> None:
    text = json.dumps(entry_of(body("d1", finding("NOT-CLOSED"))))
    assert "days" not in text


@pytest.mark.parametrize(
    ("codes", "day", "is_proposed"),
    [
        (["NOT-CLOSED"], date(2026, 11, 26), False),
        (["NOT-CLOSED"], date(2026, 11, 27), True),
        (["CLOSE-PROPOSED"], date(2026, 11, 14), True),
        (["DOSE-MISSING"], date(2027, 11, 27), False),
    ],
    ids=["13 silent days", "14 silent days", "by its records", "closed already"],
)
def test_closing_when_a_course_is_silent_or_its_records_say_so_then_is_proposed(
    codes: list[str], day: date, is_proposed: bool
) -> None:
    entry = entry_of(body("d1", *map(finding, codes)))
    assert proposes_to_close(entry, day, silent_days=14) is is_proposed


def test_days_when_counted_then_from_the_end_of_treatment_else_from_the_first_finding() -> None:
    assert days_waiting(entry_of(body("d1", finding("X"))), TODAY) == 10
    assert days_waiting(entry_of(body("d1", finding("X"), last_fraction=None)), TODAY) == 22
    assert days_since("2026-12-01", TODAY) == 0
    assert days_since(None, TODAY) is None
