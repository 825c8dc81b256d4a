"""Faults the archive must survive: kills, power cuts, full disks, servers that fail, damage and clocks."""
