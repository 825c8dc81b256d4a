"""Registrations: what joins which images, how good it is, and what physicists say of it."""

import typer


def register(app: typer.Typer) -> None:
    """Add these commands."""
