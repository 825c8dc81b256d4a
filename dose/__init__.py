"""Dose physics on arrays: grids, structures, resampling, sums, DVH."""
