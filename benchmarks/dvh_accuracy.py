"""Write ``docs/dvh-accuracy.md``: ``python -m benchmarks.dvh_accuracy [folder of the real data sets]``."""

import sys
from pathlib import Path

from tests.dose.dvh_accuracy import NELMS_FIGURES, lines, nelms_rows, sphere_rows, tps_rows

ROOT = Path(__file__).parents[1]

TEXT = """# How accurate the dose-volume histograms are

Written by `python -m benchmarks.dvh_accuracy`; a test recomputes every figure below.

## The slice model, and why

Contours say where a structure is on its slices. What lies between and beyond has to be supposed
(`dose/shapes/areas.py`):

- **Beyond the end contours a structure reaches half a slice**, as the analytical tables of Nelms et al. have it (Med
  Phys 42:4435, 2015; the read-me of their data: "analytical DVHs include ½ slice thickness end-caps"). Only so do
  cylinder, cone and sphere agree with them in the smallest and largest dose along the slices.
- **Where the area falls so that its trend ends within the next slice, the cap tapers along that trend.** A plain slab
  one slice thick misjudges small round structures, as the columns *slabs* below show.
- **Between slices the area follows a curve through four slices**, and the outline is interpolated by its signed
  distance and moved until it encloses that area. Plain slabs lose 4.6 % of a lying cylinder drawn every 3 mm.
- **One slice or two tell no trend.** There a structure that may be a ball is taken for one: two sections fix it; a
  single section could belong to balls of many sizes that miss the neighbouring slices, and the volume midway between
  the smallest and the largest of them errs least (4.6 % at most for a radius of 2 mm on slices of 2.5 mm). Sections so
  wide that a ball would show on the next slice remain slabs; cylinders and cones of many slices are not touched.
- **A gap of more than one and a half usual slice distances stays a gap.**
- Parts and holes that meet nothing on the next slice end half way to it.

## Published analytical cases (Nelms et al. 2015)

Ours minus analytical. Gradient 1 Gy/mm, so that 0.1 Gy is 0.1 mm. X15 and Z15 stand for structures shifted by half a
voxel. Volume errors in percent, doses in Gy.

| case, gradient, voxel | volume % | slabs % | {figures} |
| --- | --- | --- | {nelms_rule} |
{nelms}

## Spheres in a gradient of 0.088 Gy/mm

Six random places each between slices and voxels (2.5 mm); the **worst** absolute error is printed. Aim: volume
within 1 % from 5 mm radius on and within 5 % at 2 mm, mean dose exact. A sphere that shows on a single slice can't be
known better than that slice tells: on slices of 3 mm a section of 1.73 mm radius may belong to any ball from 1.73 to
2 mm radius, whose volumes differ by half, and the aim is missed.

| sphere | volume % | slabs % | Dmean Gy | D95 Gy |
| --- | --- | --- | --- | --- |
{spheres}

## A clinical plan (Eclipse, breast boost of 14 Gy)

Volume in cm3, doses in percent of the prescription: what Eclipse stored, ours, and ours if structures end at their
end contours. Eclipse ends them there (the read-me of the Nelms data says so), which is why structures of few slices
are larger with us. Ended alike, the means agree within 0.1 % of the prescription (the scar, six small slices on the
skin that lie beside each other rather than over each other, within 0.3 %) and the volumes within 1 %, those of borders,
scar and body excepted. **Not explained** are the volumes of body and borders and the least dose of the scar. Lower
bounds are printed for the body, of which a part lies outside the dose grid.

| structure | Eclipse cm3 | min | mean | max | ours cm3 | min | mean | max | no caps cm3 | min | mean | max |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
{tps}
"""


def page(data: Path) -> str:
    """The whole page."""
    return TEXT.format(
        figures=" | ".join(NELMS_FIGURES),
        nelms_rule=" | ".join("---" for _ in NELMS_FIGURES),
        nelms="\n".join(lines(nelms_rows(data), 2)),
        spheres="\n".join(lines(sphere_rows(), 3)),
        tps="\n".join(lines(tps_rows(data), 2)),
    )


if __name__ == "__main__":
    data_folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data"
    (ROOT / "docs" / "dvh-accuracy.md").write_text(page(data_folder), encoding="utf-8")
