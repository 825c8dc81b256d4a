"""Errors of running a node.

ServingError
├── ChildFailed        a process of the node ended before it was ready
└── AlreadyServing     a node runs on this home already
"""

from typing import ClassVar


class ServingError(Exception):
    """Root of these errors: `code` is stable, `hint` says what to do."""

    code: ClassVar[str] = "LG-RUN-000"
    hint: ClassVar[str] = ""


class ChildFailed(ServingError):
    """A process of the node ended before it was ready."""

    code = "LG-RUN-001"
    hint = "The log says why. Nothing was received: mend it and start again."


class AlreadyServing(ServingError):
    """A node runs on this home already."""

    code = "LG-RUN-002"
    hint = "One node per home: stop the other one first. One that was told to stop still lets associations end."
