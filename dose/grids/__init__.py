"""Dose on grids: geometry, transforms, interpolation, sums with bounds."""
