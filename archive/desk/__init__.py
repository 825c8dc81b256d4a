"""The desk: where people settle things."""
