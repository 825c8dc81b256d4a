"""The analytic dose of the sample plans: formulas that look like a treatment plan and can be asked at any point.

This is no dose engine and its numbers are not for clinical use. It gives every sample plan an exact truth: the same
function fills the grid of the RTDOSE and answers at single points, so that sums, resampling and histograms can be
checked against figures that don't come from a grid.

The photon model is the prescribed dose in the target, an algebraic fall-off around it, and beneath it a bath of
parallel fields, one per gantry angle, each attenuated by its depth in an elliptic cylinder. The proton model gives
each field an entrance plateau, a rise, and a distal fall-off behind the far wall of the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lastgate.sample.solids import Ellipsoid, Floats, Placement, Solid, Triple

NOT_CLINICAL = "ANALYTIC SAMPLE DOSE, NOT FOR CLINICAL USE"
_BUILD_UP_MM = 6.0
_ATTENUATION_PER_MM = 0.0042


@dataclass(frozen=True, slots=True, kw_only=True)
class Cylinder:
    """Elliptic cylinder along z that stands for the patient where depth is asked."""

    x: float
    y: float
    rx: float
    ry: float

    def depth_mm(self, x: Floats, y: Floats, gantry_deg: float) -> Floats:
        """Way through the cylinder from the side of the source to the point; 0 outside."""
        sx, sy = _towards_source(gantry_deg)
        u, v = (x - self.x) / self.rx, (y - self.y) / self.ry
        du, dv = sx / self.rx, sy / self.ry
        a, b, c = du * du + dv * dv, u * du + v * dv, u * u + v * v - 1.0
        way = (np.sqrt(np.maximum(b * b - a * c, 0.0)) - b) / a
        return np.asarray(np.where(c < 0.0, np.maximum(way, 0.0), 0.0))


class DoseModel(Protocol):
    """Planned dose of all fractions of a plan, in the anatomy frame."""

    @property
    def prescribed_gy(self) -> float:
        """Dose the target is planned to get in all fractions, Gy; Gy(RBE) for protons."""

    def dose_gy(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Dose in Gy at coordinates in mm that broadcast against each other; 0 outside the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedDose:
    """A dose model in the frame of reference of an image.

    Parameters
    ----------
    model
        The dose in the anatomy frame.
    placement
        Where the anatomy lies in the image.
    """

    model: DoseModel
    placement: Placement

    def dose_gy(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Planned dose of all fractions in Gy; coordinates in mm of the image frame, broadcast."""
        return self.model.dose_gy(*self.placement.to_anatomy(x, y, z))

    def at(self, points_mm: Floats) -> Floats:
        """Planned dose of all fractions in Gy at points of shape (n, 3), LPS mm of the image frame."""
        points = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3)
        return self.dose_gy(points[:, 0], points[:, 1], points[:, 2])


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotonArcs:
    """Dose of photon arcs around a target.

    Parameters
    ----------
    prescribed_gy
        Dose at the edge of the target.
    target, envelope
        The planning target volume and an ellipsoid around it, which shapes the fields.
    body, cylinder
        Where there is dose at all, and what attenuates it.
    gantry_deg
        Angles the bath is summed over, IEC 61217.
    peak
        Excess of the middle of the target over its edge: 0.05 in conventional plans, 0.2 and more in SBRT.
    bath
        Share of the prescribed dose the bath would have in the target.
    fall_off_mm
        Distance from the target where the conformal part has fallen to half.
    """

    prescribed_gy: float
    target: Solid
    envelope: Ellipsoid
    body: Solid
    cylinder: Cylinder
    gantry_deg: tuple[float, ...]
    peak: float
    bath: float
    fall_off_mm: float

    def dose_gy(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Planned dose of all fractions, Gy."""
        signed = self.target.signed_mm(x, y, z)
        conformal = _falling(signed - self.fall_off_mm, 0.28 * self.fall_off_mm)
        depth = np.clip(-signed / (0.8 * min(self.envelope.radii)), 0.0, 1.0)
        inside = 1.005 + self.peak * depth
        level = conformal * inside + (1.0 - conformal) * self.bath * self._bath(x, y, z)
        return np.asarray(np.where(self.body.signed_mm(x, y, z) < 0.0, self.prescribed_gy * level, 0.0))

    def _bath(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Sum of the open fields, 1 at the centre of the envelope."""
        cx, cy, cz = self.envelope.centre
        rx, ry, rz = self.envelope.radii
        total: Floats = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape))
        along = ((z - cz) / (rz + 4.0)) ** 2
        for angle in self.gantry_deg:
            sx, sy = _towards_source(angle)
            half = np.sqrt((rx * sy) ** 2 + (ry * sx) ** 2) + 4.0
            across = (((x - cx) * -sy + (y - cy) * sx) / half) ** 2
            here = self._on_axis(x, y, angle) / self._on_axis(np.array(cx), np.array(cy), angle)
            total += here * _falling((np.sqrt(across + along) - 1.0) * half, 3.0)
        return total / len(self.gantry_deg)

    def _on_axis(self, x: Floats, y: Floats, angle: float) -> Floats:
        depth = self.cylinder.depth_mm(x, y, angle)
        build_up = 1.0 - 0.55 * np.exp(-depth / _BUILD_UP_MM)
        return np.asarray(build_up * np.exp(-_ATTENUATION_PER_MM * depth))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtonFields:
    """RBE-weighted dose of pencil-beam scanned proton fields around an ellipsoid.

    Parameters
    ----------
    prescribed_gy
        Gy(RBE) in the target, all fractions.
    target
        The planning target volume.
    body, cylinder
        Where there is dose at all, and what lies before the target.
    gantry_deg
        Angle of each field; all weigh the same.
    entrance
        Dose at the skin of a single field, as share of its dose in the target.
    """

    prescribed_gy: float
    target: Ellipsoid
    body: Solid
    cylinder: Cylinder
    gantry_deg: tuple[float, ...]
    entrance: float

    def dose_gy(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Planned dose of all fractions, Gy(RBE)."""
        total: Floats = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape))
        for angle in self.gantry_deg:
            total += self._field(x, y, z, angle)
        level = np.minimum(total / len(self.gantry_deg), 1.04)
        return np.asarray(np.where(self.body.signed_mm(x, y, z) < 0.0, self.prescribed_gy * level, 0.0))

    def _field(self, x: Floats, y: Floats, z: Floats, angle: float) -> Floats:
        """One field, about 1.01 in the target."""
        (cx, cy, cz), (rx, ry, rz) = self.target.centre, self.target.radii
        sx, sy = _towards_source(angle)
        across, along = (x - cx) * -sy + (y - cy) * sx, -((x - cx) * sx + (y - cy) * sy)
        # the target cut by the ray: a t^2 + 2 b t + c = 0 in the way t along the beam, at the offset `across`
        a = (sx / rx) ** 2 + (sy / ry) ** 2
        b = across * (sy * sx) * (1 / rx**2 - 1 / ry**2)
        c = across**2 * ((sy / rx) ** 2 + (sx / ry) ** 2) + ((z - cz) / rz) ** 2 - 1.0
        middle, square = -b / a, (b / a) ** 2 - c / a
        chord = np.sqrt(np.maximum(square, 0.0))
        half = 1.0 / np.sqrt(a)
        outside = (np.sqrt(np.maximum(1.0 - square / half**2, 0.0)) - 1.0) * min(rx, ry, rz)
        lateral = _falling(outside - 5.5, 2.0)
        before = np.maximum(middle - chord - along, 0.0)
        way = self.cylinder.depth_mm(np.array(cx), np.array(cy), angle)
        rise = self.entrance + (1.0 - self.entrance) / (1.0 + (before / (0.35 * way)) ** 2)
        distal = _falling(along - (middle + chord + 6.0), 1.8)
        return np.asarray(1.012 * lateral * rise * distal)


def sampled_arc(start_deg: float, stop_deg: float, *, clockwise: bool, step_deg: float) -> tuple[float, ...]:
    """Gantry angles along an arc about ``step_deg`` apart, both ends included."""
    span = (stop_deg - start_deg) % 360.0 if clockwise else (start_deg - stop_deg) % 360.0
    count = max(round(span / step_deg), 1)
    sign = 1.0 if clockwise else -1.0
    return tuple((start_deg + sign * span * k / count) % 360.0 for k in range(count + 1))


def _towards_source(gantry_deg: float) -> tuple[float, float]:
    """Direction (x, y) from the isocentre to the source of a head-first supine patient; 0 deg is anterior, 90 left."""
    angle = np.radians(gantry_deg)
    return float(np.round(np.sin(angle), 12)), float(np.round(-np.cos(angle), 12))


def _falling(distance_mm: Floats, width_mm: float) -> Floats:
    """Algebraic step from 1 to 0 at distance 0; its long tail stands for scatter."""
    q = distance_mm / width_mm
    return np.asarray(0.5 * (1.0 - q / np.sqrt(1.0 + q * q)))


def centre_of(solid: Solid) -> Triple:
    """Middle of the box around a solid."""
    low, high = solid.bounds_mm
    return (low[0] + high[0]) / 2, (low[1] + high[1]) / 2, (low[2] + high[2]) / 2
