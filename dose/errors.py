"""Errors of the dose room.

DoseError
├── BadGeometry          positions, orientation or spacing do not describe a regular grid
├── SlicesMissing        an image series has gaps
├── BadDose              an RTDOSE can't be read as a dose in gray
│   ├── DoseTruncated        the pixel data end before the last frame
│   └── DoseNotAbsolute      units are RELATIVE and no normalisation was given
├── BadStructure         an RTSTRUCT can't be read
│   └── ContoursNotPlanar    contours do not lie in planes of the dose grid
└── NothingToAdd         a sum of no parts, or of parts that can't be summed
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


class NothingToAdd(DoseError):
    """A sum of no parts, or of parts that can't be summed."""

    code = "LG-DOS-030"
    hint = "Choose at least one physical dose with a weight of zero or more."
