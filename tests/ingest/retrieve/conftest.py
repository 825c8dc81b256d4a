"""An archive with objects in many transfer syntaxes, and its node."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from ingest.dataset.part10 import FileLayout, find_dataset
from lastgate.reception import receiving, take_in
from lastgate.settings import NodeSettings, PeerSettings, Settings
from lastgate.wiring import House, open_house
from tests.ingest.datasets import write_file
from tests.ingest.retrieve.clients import free_port

SERIES = 12
STUDY = "1.2.3.500"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A file the archive holds."""

    path: Path
    layout: FileLayout

    @classmethod
    def of(cls, path: Path) -> "Stored":
        """Look at a file."""
        with path.open("rb") as stream:
            layout = find_dataset(stream)
        assert layout is not None
        return cls(path=path, layout=layout)

    @property
    def uid(self) -> str:
        """SOP Instance UID."""
        return self.layout.sop_instance_uid

    @property
    def data_set(self) -> bytes:
        """The data set as it stands."""
        return self.path.read_bytes()[self.layout.dataset_offset :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A running node, its archive, and the files in it by name."""

    house: House
    port: int
    destination_port: int
    files: dict[str, Stored]
    series: tuple[Stored, ...]


def data_sets(folder: Path) -> dict[str, bytes]:
    """Return the data sets of all files of a folder by SOP Instance UID."""
    found = {}
    for path in folder.iterdir():
        stored = Stored.of(path)
        found[stored.uid] = stored.data_set
    return found


def layout_of(folder: Path, uid: str) -> FileLayout:
    """Return how the instance with this UID was written down."""
    return next(one.layout for one in map(Stored.of, folder.iterdir()) if one.uid == uid)


def _odd_files(folder: Path) -> dict[str, Stored]:
    """Return one object in each transfer syntax, each of a study of its own."""
    names = {
        "big endian": "MR_small_bigendian.dcm",
        "deflated": "image_dfl.dcm",
        "JPEG baseline": "SC_rgb_dcmtk_+eb+cy+np.dcm",
        "JPEG 2000": "MR_small_jp2klossless.dcm",
        "undecodable": "JPGExtended.dcm",
    }
    made = {}
    for number, (name, file) in enumerate(names.items()):
        path = folder / f"odd-{number}.dcm"
        found = get_testdata_file(file)
        assert isinstance(found, str)
        _with_uid(Path(found), path, number)
        made[name] = Stored.of(path)
    original = folder / "odd-0.dcm"
    for name, tool in (("JPEG lossless", "dcmcjpeg"), ("JPEG-LS", "dcmcjpls"), ("RLE", "dcmcrle")):
        path = folder / f"{tool}.dcm"
        subprocess.run([f"/usr/bin/{tool}", str(original), str(path)], check=True, timeout=20)
        _with_uid(path, path, tool)
        made[name] = Stored.of(path)
    return made


def _with_uid(source: Path, target: Path, number: object) -> None:
    read = dcmread(source)
    tail = int(sha256(str(number).encode()).hexdigest()[:8], 16)
    read.SOPInstanceUID = f"1.2.826.0.1.3680043.10.77.{tail}"
    read.SeriesInstanceUID = f"1.2.826.0.1.3680043.10.77.{tail}.1"
    read.StudyInstanceUID = f"1.2.826.0.1.3680043.10.77.{tail}.2"
    read.file_meta.MediaStorageSOPInstanceUID = read.SOPInstanceUID
    read.save_as(target)


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A node with a series of twelve slices and one object in each transfer syntax; tests only read it."""
    folder = tmp_path_factory.mktemp("site")
    series = []
    for number in range(SERIES):
        uids = {"instance": f"{STUDY}.1.{number}", "study": STUDY, "series": f"{STUDY}.1"}
        series.append(write_file(folder / f"{number}.dcm", patient="P500", **uids))
    odd = _odd_files(folder)
    port = free_port()
    node = NodeSettings(
        port=0, unknown_peers="accept", peers=(PeerSettings(title="DEST", host="127.0.0.1", port=port),)
    )
    with open_house(Settings(home=folder / "home", node=node)) as house:
        report = take_in(house, [*series, *(one.path for one in odd.values())])
        assert report.counts == {"stored": SERIES + len(odd)}, report
        with receiving(house, port=0) as reception:
            yield Site(
                house=house,
                port=reception.port,
                destination_port=port,
                files=odd,
                series=tuple(map(Stored.of, series)),
            )


def study_of(house: House, uid: str) -> str:
    """Return the study an instance belongs to."""
    for key in house.facts.patients():
        for receipt in house.facts.read(key).receipts:
            if receipt.header.sop_instance_uid == uid:
                return receipt.header.study_uid
    raise LookupError(uid)
