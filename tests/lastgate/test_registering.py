"""`lastgate register`: from two series in the archive to a signed draft that a composite can use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.desk.accounts import Account
from archive.errors import Refused
from archive.facts.dose_decisions import Register
from lastgate import derived
from lastgate.composing import composed
from lastgate.reception import take_in
from lastgate.registering import Wish, register_series
from lastgate.sample import Department
from lastgate.wiring import House
from tests.acceptance.houses import local

PHYSICIST = Account(name="wu", role="physicist", password="")


@pytest.fixture(scope="module")
def two_frames(sample_department: Department, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Two courses, each with a CT in a frame of its own."""
    with local(tmp_path_factory.mktemp("two-frames")) as house:
        take_in(house, sample_department.patient("SAMPLE-0002").paths)
        yield house


def test_register_when_two_frames_are_joined_then_the_object_is_kept_and_the_decision_signed(
    two_frames: House,
) -> None:
    record = two_frames.patient("SAMPLE-0002")
    moving, fixed = (dossier.id for dossier in record.dossiers)
    told: list[str] = []
    answer = register_series(two_frames, record, Wish(moving=moving, fixed=fixed), account=PHYSICIST, tell=told.append)
    decisions = two_frames.patient("SAMPLE-0002").about_dose
    acts = [one.what for one in decisions if isinstance(one.what, Register)]
    assert [act.uid for act in acts] == [answer["uid"]]
    assert acts[0].quality.similarity is not None
    assert derived.read(two_frames, answer["sha256"])
    assert answer["status"] == "draft"
    assert told
    composite = composed(two_frames, two_frames.patient("SAMPLE-0002"), onto=fixed).composite
    mapped = {share.mapping.sources for share in composite.shares if share.mapping}
    assert (answer["uid"],) in mapped


def test_register_when_no_physicist_asks_then_it_is_refused(two_frames: House) -> None:
    record = two_frames.patient("SAMPLE-0002")
    one, other = (dossier.id for dossier in record.dossiers)
    with pytest.raises(Refused):
        register_series(
            two_frames, record, Wish(moving=one, fixed=other), account=Account(name="li", role="doctor", password="")
        )


def test_register_when_both_series_share_a_frame_then_it_is_refused(
    sample_department: Department, tmp_path: Path
) -> None:
    with local(tmp_path) as house:
        take_in(house, sample_department.patient("SAMPLE-0001").paths)
        record = house.patient("SAMPLE-0001")
        one, other = (dossier.id for dossier in record.dossiers)
        with pytest.raises(Refused, match="share one frame"):
            register_series(house, record, Wish(moving=one, fixed=other), account=PHYSICIST)
