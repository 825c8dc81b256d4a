"""Gamma by pymedphys, run in the peers' own environment: ``python gamma_peers.py FOLDER``.

Reads the doses of ``FOLDER/case.npz``, compares a small part first so that its loops are compiled, then all, and prints
one JSON line: seconds, CPU seconds and peak memory. The values go to ``FOLDER/pymedphys.npy``.
"""

import json
import os
import resource
import sys
import time
import warnings

import numpy as np
import numpy.typing as npt


def compared(case: dict[str, npt.NDArray[np.float64]], part: slice = slice(None)) -> npt.NDArray[np.float64]:
    """Return gamma of a part of the voxels along each axis, ``[z, y, x]``."""
    import pymedphys

    # turned to (x, y, z), it looks at the places on its shells that we look at
    first, second = (case[name][part, part, part].astype(np.float64).T for name in ("reference", "evaluated"))
    axes = tuple(np.arange(size) * float(case["spacing_mm"]) for size in first.shape)
    percent, distance_mm, cutoff, most = (float(v) for v in case["criteria"])
    found: npt.NDArray[np.float64] = pymedphys.gamma(
        axes, first, axes, second, percent, distance_mm, lower_percent_dose_cutoff=cutoff, max_gamma=most
    )
    return found.T


def main() -> None:
    """Compare and print."""
    warnings.simplefilter("ignore")
    folder = sys.argv[1]
    case = dict(np.load(f"{folder}/case.npz"))
    middle = len(case["reference"]) // 2
    compared(case, slice(middle - 10, middle + 10))
    began, used = time.perf_counter(), sum(os.times()[:4])
    found = compared(case)
    told = {"seconds": time.perf_counter() - began, "cpu_s": sum(os.times()[:4]) - used}
    np.save(f"{folder}/pymedphys.npy", found)
    print(json.dumps({**told, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}))


if __name__ == "__main__":
    main()
