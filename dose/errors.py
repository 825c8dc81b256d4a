"""Errors of the dose room.

DoseError
├── BadGeometry          positions, orientation or spacing do not describe a regular grid
├── SlicesMissing        an image series has gaps
├── BadDose              an RTDOSE can't be read as a dose in gray
│   ├── DoseTruncated        the pixel data end before the last frame
│   └── DoseNotAbsolute      units are RELATIVE and no normalisation was given
├── BadStructure         an RTSTRUCT can't be read
│   └── ContoursNotPlanar    contours do not lie in planes of the dose grid
├── NotRegistered        two images can't be brought onto each other
│   ├── NothingToCompare     there is no bone, or the region has hardly any voxels
│   ├── HardlyOverlap        the images show too little of the same place
│   ├── BadLandmarks         pairs of landmarks can't be read
│   └── NotConverged         the search did not settle, or what it found does not look alike
├── BadRegistration      a registration can't be used: what it says is in doubt
├── NothingToAdd         a sum of no parts, or of parts that can't be summed
├── BadTable             a table of tissues, recovery or limits can't be used as written
├── BadMetric            the name of a figure is not one of TG-263
└── BadCriteria          criteria of a gamma comparison that mean nothing
"""

from typing import ClassVar


class DoseError(Exception):
    """Root of all errors of the dose room: `code` is stable, `hint` tells a physicist what to do."""

    code: ClassVar[str] = "LG-DOS-000"
    hint: ClassVar[str] = ""


class BadGeometry(DoseError):
    """Positions, orientation or spacing do not describe a regular grid."""

    code = "LG-DOS-001"
    hint = "Look at Image Position, Image Orientation, Pixel Spacing and Grid Frame Offset Vector of the file."


class SlicesMissing(DoseError):
    """An image series has gaps, so that it is no volume."""

    code = "LG-DOS-002"
    hint = "Send the missing slices again from where the series came from."


class BadDose(DoseError):
    """An RTDOSE can't be read as a dose in gray."""

    code = "LG-DOS-010"
    hint = "Export the dose again from the planning system."


class DoseTruncated(BadDose):
    """The pixel data of an RTDOSE end before the last frame."""

    code = "LG-DOS-011"
    hint = "The file is incomplete: export the dose again from the planning system."


class DoseNotAbsolute(BadDose):
    """Dose units are RELATIVE and no normalisation was given."""

    code = "LG-DOS-012"
    hint = "Export the dose in gray."


class BadStructure(DoseError):
    """An RTSTRUCT, or one structure of it, can't be read."""

    code = "LG-DOS-020"
    hint = "Export the structure set again from the planning system."


class ContoursNotPlanar(BadStructure):
    """Contours do not lie in planes of the dose grid."""

    code = "LG-DOS-021"
    hint = "Bring the structure onto the planning image in the planning system, or compare it on its own image."


class BadRegistration(DoseError):
    """A registration, or what it says of two frames of reference, is in doubt."""

    code = "LG-DOS-045"
    hint = "Make the registration anew, with one rigid matrix or one displacement field for each frame of reference."


class NothingToAdd(DoseError):
    """A sum of no parts, or of parts that can't be summed."""

    code = "LG-DOS-030"
    hint = "Choose at least one physical dose with a weight of zero or more."


class NotRegistered(DoseError):
    """Two images can't be brought onto each other."""

    code = "LG-DOS-040"
    hint = "Register the images in the planning system and send the registration object."


class NothingToCompare(NotRegistered):
    """There is no bone, or the region has hardly any voxels."""

    code = "LG-DOS-041"
    hint = "Choose another structure with --around, or a larger one."


class HardlyOverlap(NotRegistered):
    """The images show too little of the same place."""

    code = "LG-DOS-042"
    hint = "Look whether the series are of the same patient and the same part of the body; name others if there are."


class NotConverged(NotRegistered):
    """The search did not settle, or what it found does not look alike."""

    code = "LG-DOS-043"
    hint = "Compare a smaller region with --around, or register the images in the planning system."


class BadMetric(DoseError):
    """The name of a figure is not one of TG-263."""

    code = "LG-DOS-050"
    hint = "Write it as Max[Gy], Mean[Gy], Min[Gy], D0.03cc[Gy], D95%[Gy], V20Gy[%], V20Gy[cc] or CV16Gy[cc]."


class BadCriteria(DoseError):
    """Criteria of a gamma comparison that mean nothing."""

    code = "LG-DOS-051"
    hint = "Give a dose difference in percent and a distance in mm above zero, and a reference dose above zero."


class BadTable(DoseError):
    """A table of tissues, recovery or limits can't be used as written."""

    code = "LG-DOS-060"
    hint = "Mend the department's file; docs/physicist.md shows how its rows are written."


class BadLandmarks(NotRegistered):
    """Pairs of landmarks can't be read."""

    code = "LG-DOS-044"
    hint = "Write a CSV with the columns name, fixed_x, fixed_y, fixed_z, moving_x, moving_y, moving_z: mm, LPS."
