"""Structures as solids: contours, sections, masks, dose-volume histograms."""
