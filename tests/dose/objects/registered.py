"""Headers and images of registrations in tests."""

from datetime import datetime

from dose.objects.header import ObjectHeader, PlaneImage
from dose.objects.write_registration import Side

FIXED, MOVING = "2.25.4", "2.25.5"


def header(number: int = 9, frame: str = FIXED) -> ObjectHeader:
    """What a registration says of patient, study and itself."""
    return ObjectHeader(
        sop_instance_uid=f"2.25.{number}1",
        series_instance_uid=f"2.25.{number}2",
        study_instance_uid="2.25.3",
        frame_of_reference_uid=frame,
        patient_id="H-1001",
        patient_name="Sample^Ada",
        patient_sex="F",
        study_date="20260301",
        study_time="083000",
        study_id="1",
        created=datetime(2026, 3, 1, 8, 30),
        manufacturer="Lastgate",
        model="Lastgate",
        software_version="0.1.0",
        series_description="Registration",
    )


def side(frame: str, number: int = 7, count: int = 0) -> Side:
    """One image of a registration, of as many slices."""
    images = [
        PlaneImage(
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            sop_instance_uid=f"2.25.{number}0{n}",
            series_instance_uid=f"2.25.{number}",
        )
        for n in range(count)
    ]
    return Side(frame_uid=frame, study_instance_uid="2.25.3" if frame == FIXED else "2.25.6", images=images)
