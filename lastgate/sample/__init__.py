"""A fictional radiotherapy department of clinical size, for ``lastgate demo`` and for tests.

Five invented patients with CT series, structure sets, photon and proton plans, doses, treatment records and a
registration, all made by formulas: no real image, plan or person is behind them, and the doses are not those of a dose
engine. `write_department` writes the files and returns the truth about them.
"""

from lastgate.sample.department import write_department
from lastgate.sample.model import (
    Department,
    SampleBeam,
    SampleCourse,
    SampleInterruption,
    SamplePatient,
    SamplePlan,
    SampleRegistration,
    SampleTarget,
)

__all__ = [
    "Department",
    "SampleBeam",
    "SampleCourse",
    "SampleInterruption",
    "SamplePatient",
    "SamplePlan",
    "SampleRegistration",
    "SampleTarget",
    "write_department",
]
