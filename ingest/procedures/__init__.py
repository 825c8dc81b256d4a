"""Modality Performed Procedure Step: what modalities tell of the steps they perform, kept as they tell it."""
