"""Objects that highdicom writes, a segmentation and two structured reports, go in and come back byte for byte."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from lastgate.sample import Department
from tests.acceptance import dcmtk
from tests.acceptance.serving import AET, Served, dataset_bytes

pytestmark = pytest.mark.server

ROOT = "1.2.826.0.1.3680043.9.7229.62"
Images = list[Dataset]


def _segmentation(images: Images, *, kind: str, syntax: str, number: int) -> Dataset:
    shape = (len(images), images[0].Rows, images[0].Columns)
    mask = np.zeros(shape, dtype=np.uint8)
    mask[:, 8:24, 8:24] = 1
    algorithm = hd.AlgorithmIdentificationSequence(
        name="square", version="1", family=codes.cid7162.ArtificialIntelligence
    )
    described = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="square",
        segmented_property_category=codes.cid7150.Tissue,
        segmented_property_type=codes.cid7166.ConnectiveTissue,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
    return hd.seg.Segmentation(
        source_images=images,
        pixel_array=mask,
        segmentation_type=kind,
        segment_descriptions=[described],
        series_instance_uid=f"{ROOT}.1.{number}",
        series_number=100,
        sop_instance_uid=f"{ROOT}.2.{number}",
        instance_number=1,
        device_serial_number="1",
        transfer_syntax_uid=syntax,
        manufacturer="Test",
        manufacturer_model_name="Test",
        software_versions="1",
    )


def _report(images: Images, *, kind: Callable[..., Dataset], number: int) -> Dataset:
    person = hd.sr.ObserverContext(
        observer_type=codes.DCM.Person,
        observer_identifying_attributes=hd.sr.PersonObserverIdentifyingAttributes(name="Reader^One"),
    )
    measurement = hd.sr.Measurement(name=codes.SCT.Length, value=12.5, unit=codes.UCUM.Millimeter)
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=f"{ROOT}.3.{number}", identifier="lesion 1"),
        measurements=[measurement],
        source_images=[hd.sr.SourceImageForMeasurementGroup.from_source_image(images[0])],
    )
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_person_context=person),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=[group],
        title=codes.DCM.ImagingMeasurementReport,
    )
    return kind(
        evidence=images,
        content=content,
        series_instance_uid=f"{ROOT}.4.{number}",
        series_number=101,
        sop_instance_uid=f"{ROOT}.5.{number}",
        instance_number=1,
        manufacturer="Test",
        is_complete=True,
    )


MAKES: dict[str, Callable[[Images], Dataset]] = {
    "segmentation": lambda images: _segmentation(images, kind="BINARY", syntax=ExplicitVRLittleEndian, number=1),
    "fractional segmentation, RLE": lambda images: _segmentation(
        images, kind="FRACTIONAL", syntax=RLELossless, number=2
    ),
    "comprehensive SR": lambda images: _report(images, kind=hd.sr.ComprehensiveSR, number=1),
    "comprehensive 3D SR": lambda images: _report(images, kind=hd.sr.Comprehensive3DSR, number=2),
}


@pytest.fixture(scope="module")
def images(sample_department: Department) -> Images:
    """CT slices the objects refer to."""
    paths = sample_department.patient("SAMPLE-0003").courses[0].ct_paths[:3]
    return [pydicom.dcmread(path) for path in paths]


@pytest.mark.parametrize("name", MAKES)
def test_objects_of_highdicom_when_they_are_stored_then_they_come_back_byte_for_byte(
    served: Served, images: Images, tmp_path: Path, name: str
) -> None:
    made, fetched = MAKES[name](images), tmp_path / "fetched"
    path = tmp_path / "made.dcm"
    made.save_as(path)
    fetched.mkdir()

    shipped = dcmtk.storescu([path], port=served.port, aet=AET, options=["-xr"] if "RLE" in name else ["-xe"])

    assert shipped.answers == {path: "Success"}
    served.wait_until_found(made)
    uids = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    keys = [part for uid in uids for part in ("-k", f"{uid}={made[uid].value}")]
    option = "+xr" if "RLE" in name else "+xe"
    command = ["/usr/bin/getscu", "-S", "+B", option, "-od", str(fetched), "-k", "QueryRetrieveLevel=IMAGE", *keys]
    subprocess.run([*command, "-aec", AET, *served.address], check=True, capture_output=True, timeout=60)
    (back,) = fetched.iterdir()
    assert dataset_bytes(back) == dataset_bytes(path)
