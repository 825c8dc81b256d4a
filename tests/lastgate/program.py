"""Runs the program as a person does: a command line in, what is printed and the exit code out."""

import json
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

PROGRAM = Path(sys.executable).with_name("lastgate")
PASSWORD = "correct horse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The standard output as JSON: nothing else may stand there."""
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """The standard output in one line, however it was folded."""
        return " ".join(self.out.split())


def environment(home: Path, **settings: str) -> dict[str, str]:
    """Return the variables of an archive in `home`."""
    return {"LASTGATE_HOME": str(home), "LASTGATE_NODE__PORT": "0", "LASTGATE_PASSWORD": PASSWORD, **settings}


def lastgate(*arguments: object, env: Mapping[str, str]) -> Told:
    """Run a command in this process, by the same `main` as the installed program."""
    from lastgate.cli import main

    out, err = StringIO(), StringIO()
    with (
        mock.patch.dict("os.environ", env),
        mock.patch.object(sys, "argv", ["lastgate", *map(str, arguments)]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Told(code=code, out=out.getvalue(), err=err.getvalue())
