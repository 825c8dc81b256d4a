"""Histograms by a peer, run in the peers' own environment: ``python dvh_peers.py {platipy|dicompyler} FOLDER [COUNT]``.

Prints one JSON line: seconds, CPU seconds and peak memory of reading the RTSTRUCT and making all histograms, and the
figures of each structure: volume in cm3, mean, D95, D50 and D2 in Gy.
"""

import json
import logging
import resource
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pydicom

Rows = list[list[float]]
Act = Callable[[], Rows]


def platipy(folder: str, _count: int) -> Act:
    """Masks on the dose grid, then the histogram of each, with the bins of its default (0.1 Gy)."""
    import SimpleITK
    from platipy.dicom.io.rtstruct_to_nifti import transform_point_set_from_dicom_struct
    from platipy.imaging.dose.dvh import calculate_d_x, calculate_dvh_for_labels

    stored = pydicom.dcmread(f"{folder}/dose.dcm")
    dose = SimpleITK.GetImageFromArray((stored.pixel_array * float(stored.DoseGridScaling)).astype(np.float32))
    step = [float(v) for v in stored.PixelSpacing]
    dose.SetSpacing([*step, float(stored.GridFrameOffsetVector[1])])
    dose.SetOrigin([float(v) for v in stored.ImagePositionPatient])

    def act() -> Rows:
        masks, names = transform_point_set_from_dicom_struct(dose, pydicom.dcmread(f"{folder}/structures.dcm"))
        made = calculate_dvh_for_labels(dose, dict(zip(names, masks, strict=True)))
        doses = calculate_d_x(made, [95, 50, 2])
        rows = zip(made.cc, made["mean"], doses.D95, doses.D50, doses.D2, strict=True)
        return [[float(v) for v in row] for row in rows]

    return act


def dicompyler(folder: str, count: int) -> Act:
    """Each structure by itself, interpolated if only some are asked for (a structure then takes seconds)."""
    from dicompylercore import dvhcalc

    stored = pydicom.dcmread(f"{folder}/dose.dcm")
    finer = {"interpolation_resolution": float(stored.PixelSpacing[0]) / 4, "interpolation_segments_between_planes": 2}

    def act() -> Rows:
        drawn = pydicom.dcmread(f"{folder}/structures.dcm")
        rows = []
        for number in range(1, (count or len(drawn.StructureSetROISequence)) + 1):
            made = dvhcalc.get_dvh(drawn, stored, number, **(finer if count else {}))
            doses = [float(made.statistic(name).value) for name in ("D95", "D50", "D2")]
            rows.append([float(made.volume), float(made.mean), *doses])
        return rows

    return act


def main() -> None:
    """Measure one run."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    name, folder, *count = sys.argv[1:]
    act = {"platipy": platipy, "dicompyler": dicompyler}[name](folder, int(count[0]) if count else 0)
    began, used = time.perf_counter(), time.process_time()
    rows = act()
    told = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - used, "rows": rows}
    told["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps(told))


if __name__ == "__main__":
    main()
