"""The command line: tables for people, JSON with ``--json``.

Exit code 0 is done, 1 a finding or refusal, 2 bad usage or input.
"""

from lastgate.cli.app import main

__all__ = ["main"]
