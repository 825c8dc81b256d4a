"""Spatial registrations of the sample patients: two frames of reference joined by a known rigid motion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.uid import UID, SpatialRegistrationStorage

from lastgate.sample.dicomfile import PHYSICIST, Series, Study, coded, dataset_of, new_object, save
from lastgate.sample.solids import Floats


def write_registration(
    path: Path, study: Study, *, source_frame: UID, matrix: Floats, date: str, comment: str, number: int = 1
) -> UID:
    """Write a rigid Spatial Registration into the frame of reference of ``study``; returns its SOP Instance UID.

    Parameters
    ----------
    source_frame
        Frame of Reference UID of the earlier course.
    matrix
        4x4, takes points of the source frame to points of the frame of ``study``, mm (PS3.3 2026c C.20.2.1.1).
    number
        Of the registrations of this study.
    """
    series = Series(
        key="reg", number=6, modality="REG", description="Rigid registration", date=date, time="111500",
        model="Sample TPS",
    )  # fmt: skip
    ds = new_object(study, series, SpatialRegistrationStorage, key=str(number))
    ds.InstanceNumber, ds.ContentDate, ds.ContentTime = number, date, "111500"
    ds.ContentLabel, ds.ContentDescription = "RIGID", comment
    ds.ContentCreatorName = study.person.in_own_script(*PHYSICIST)
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = study.frame_uid, ""
    ds.RegistrationSequence = []
    for frame, values, code in (
        (study.frame_uid, np.eye(4), coded("125021", "Frame of Reference Identity", scheme="DCM")),
        (source_frame, matrix, coded("125024", "Image Content-based Alignment", scheme="DCM")),
    ):
        step = dataset_of(
            FrameOfReferenceTransformationMatrix=[f"{v:.10f}" for v in values.ravel()],
            FrameOfReferenceTransformationMatrixType="RIGID",
        )
        part = dataset_of(RegistrationTypeCodeSequence=[code], MatrixSequence=[step])
        ds.RegistrationSequence.append(dataset_of(FrameOfReferenceUID=frame, MatrixRegistrationSequence=[part]))
    save(ds, path, study.person)
    return UID(ds.SOPInstanceUID)
