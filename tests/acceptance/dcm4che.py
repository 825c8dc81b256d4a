"""The command-line tools of dcm4che as the other side; their jars are in no registry, see docs/benchmarks.md."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.serving import AET, Served

JARS = Path(__file__).parents[2] / ".tools" / "dcm4che" / "lib"
TITLE = "DCM4CHE"
_CLASSES = {
    "storescu": "storescu.StoreSCU",
    "findscu": "findscu.FindSCU",
    "movescu": "movescu.MoveSCU",
    "getscu": "getscu.GetSCU",
    "stgcmtscu": "stgcmtscu.StgCmtSCU",
    "storescp": "storescp.StoreSCP",
}


def command(tool: str, *arguments: str) -> list[str]:
    """Return the command line of a tool; the test is skipped where the jars are missing."""
    if not JARS.is_dir() or shutil.which("java") is None:
        pytest.skip("The jars of dcm4che are not in .tools/dcm4che/lib; no package registry has them.")
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{JARS}/*", f"org.dcm4che3.tool.{_CLASSES[tool]}", *arguments]


def run(tool: str, served: Served, *arguments: str, bind: int = 0) -> str:
    """Run a tool against the node and return what it logs."""
    own = [TITLE] if not bind else [f"{TITLE}@127.0.0.1:{bind}"]
    line = command(tool, "-c", f"{AET}@127.0.0.1:{served.port}", "-b", *own, *arguments)
    told = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout + told.stderr
