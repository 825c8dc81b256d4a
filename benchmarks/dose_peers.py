"""An environment of its own for peers in dose, which need other versions of what we use; made once, from PyPI."""

import subprocess
import sys
from pathlib import Path

PACKAGES = ("platipy==0.7.2", "dicompyler-core==0.5.6", "pymedphys[user]==0.41.0", "scikit-image", "six", "pydicom<3")


def peers_python(work: Path) -> Path:
    """Return the interpreter of that environment under the folder of the benchmarks."""
    folder = work / "dose-peers"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python
