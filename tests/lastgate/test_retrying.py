"""`lastgate quarantine --retry`: what is understood by now is filed as what came, what is not stays where it is."""

from pathlib import Path

import pytest

from archive.facts.receipts import Receipt, Source
from ingest.dataset.part10 import FileLayout, file_header
from ingest.errors import Undescribable
from ingest.filing.quarantine import Quarantine
from ingest.judge import Announced, judge_network
from lastgate.reception import filer_of, spool_of, take_in
from lastgate.wiring import House
from tests.acceptance.houses import local
from tests.ingest.datasets import EXPLICIT, dataset, part10, write_file
from tests.lastgate.program import environment, lastgate


def _receipts(house: House) -> list[Receipt]:
    return [receipt for key in house.facts.patients() for receipt in house.facts.read(key).receipts]


def _not_understood(*_arguments: object, **_options: object) -> None:
    raise Undescribable("an earlier version did not understand it")


def test_retry_when_a_later_version_understands_it_then_it_is_filed_as_what_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, home = write_file(tmp_path / "one.dcm", patient="P7"), tmp_path / "home"
    with local(home) as house:
        with monkeypatch.context() as earlier:
            earlier.setattr("ingest.filing.reader.read_instance", _not_understood)
            assert take_in(house, [path]).counts == {"quarantined": 1}
        (note,) = Quarantine(house.stores.work).list()
    told = lastgate("quarantine", "--retry", note.sha256[:12], "--json", env=environment(home))
    assert (told.code, [one["disposition"] for one in told.json]) == (0, ["stored"])
    with local(home) as house:
        (receipt,) = _receipts(house)
        assert (receipt.received_at, receipt.source) == (note.received_at, note.source)
        assert house.stores.work.read_bytes(receipt.key) == path.read_bytes()
        assert list(house.stores.work.list("quarantine/")) == []
        assert "retry" in [event["act"] for event in house.journal.events()]


def test_retry_when_it_is_still_not_understood_then_it_stays_and_the_first_note_stands(tmp_path: Path) -> None:
    (tmp_path / "broken.dcm").write_bytes(part10(dataset())[:-5])
    home = tmp_path / "home"
    with local(home) as house:
        take_in(house, [tmp_path / "broken.dcm"])
        before = list(Quarantine(house.stores.work).list())
    told = lastgate("quarantine", "--retry", "all", env=environment(home))
    assert told.code == 1
    with local(home) as house:
        assert list(Quarantine(house.stores.work).list()) == before


def test_retry_when_nobody_had_named_the_patient_then_the_document_is_filed_for_the_one_named_now(
    tmp_path: Path,
) -> None:
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.7 Dear colleague")
    home = tmp_path / "home"
    with local(home) as house:
        take_in(house, [tmp_path / "letter.pdf"])
    told = lastgate("quarantine", "--retry", "all", "--patient", "CLINIC/7", env=environment(home))
    assert told.code == 0
    with local(home) as house:
        (receipt,) = _receipts(house)
    assert (receipt.header.patient.identifier.value, receipt.header.document_title) == ("7", "letter.pdf")


def test_retry_when_the_sender_had_announced_another_object_then_it_is_refused_again(tmp_path: Path) -> None:
    """The header of such a file is ours: it holds what was announced, and must not pass for a slip of an anonymiser."""
    body, home = dataset(), tmp_path / "home"
    announced = Announced(sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid="1.2.99")
    header = file_header(
        sop_class_uid=announced.sop_class_uid, sop_instance_uid=announced.sop_instance_uid, transfer_syntax_uid=EXPLICIT
    )
    with local(home) as house:
        with spool_of(house, "worker-1") as spool:
            layout = FileLayout(dataset_offset=len(header), transfer_syntax_uid=EXPLICIT)
            judge = judge_network(layout=layout, announced=announced, limits=spool.dataset_limits)
            spool.receive([header, body], judge, source=Source(kind="dicom", name="TPS"), batch="a")
        assert filer_of(house).drain() == {"quarantined": 1}
    told = lastgate("quarantine", "--retry", "all", "--json", env=environment(home))
    assert (told.code, told.json[0]["disposition"]) == (1, "quarantined")
    assert "LG-ING-200" in told.json[0]["reason"]


def test_retry_when_nothing_is_called_so_then_it_says_where_to_look(tmp_path: Path) -> None:
    told = lastgate("quarantine", "--retry", "beef", env=environment(tmp_path / "home"))
    assert told.code == 2
    assert "Nothing in quarantine is called 'beef'" in told.err
