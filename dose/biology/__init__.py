"""Biologically effective dose: models, rules and limits, all of them data with their source."""
