"""What can't be understood is kept, with the reason, once."""

import json
from pathlib import Path

from ingest.filing.quarantine import Quarantine
from tests.ingest.conftest import House
from tests.ingest.datasets import dataset, part10

BROKEN = part10(dataset())[:-5]


def test_quarantine_when_bytes_are_broken_then_they_are_kept_with_a_note(house: House, tmp_path: Path) -> None:
    (tmp_path / "broken.dcm").write_bytes(BROKEN)

    report = house.take(tmp_path / "broken.dcm")

    (note,) = Quarantine(house.store).list()
    assert report.counts == {"quarantined": 1}
    assert house.objects("quarantine/")[note.key] == BROKEN
    assert note.reason == "LG-ING-102"
    assert "(0020,000E)" in note.message
    assert "send it again" in note.hint
    assert note.names.sop_instance_uid == "1.2.3.4"
    assert note.source.name == str(tmp_path / "broken.dcm")
    assert note.size_bytes == len(BROKEN)
    assert house.events[-1].outcome == "quarantined"


def test_quarantine_when_the_same_bytes_come_again_then_nothing_changes(house: House, tmp_path: Path) -> None:
    (tmp_path / "broken.dcm").write_bytes(BROKEN)
    house.take(tmp_path / "broken.dcm")
    before = house.objects("quarantine/")

    house.take(tmp_path / "broken.dcm")

    assert house.objects("quarantine/") == before
    assert len(before) == 2


def test_quarantine_when_a_note_is_read_as_text_then_it_is_json_of_this_format(house: House, tmp_path: Path) -> None:
    (tmp_path / "broken.dcm").write_bytes(BROKEN)
    house.take(tmp_path / "broken.dcm")

    (body,) = [body for key, body in house.objects("quarantine/").items() if key.endswith(".json")]

    assert json.loads(body)["format"] == "lastgate/quarantine/1"
    assert body.startswith(b'{\n "format"')
