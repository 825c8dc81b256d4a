"""The DICOM node with its spool and nothing else: `python -m benchmarks.bare_node PORT FOLDER`.

What `lastgate serve` costs beyond it is filing.
"""

import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from ingest.node import Node, NodeSettings
from ingest.spool.spool import Spool


def main() -> None:
    """Receive until SIGTERM."""
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    spool = Spool(folder / "spool", clock=lambda: datetime.now(UTC))
    node = Node(NodeSettings(port=port), spool)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    node.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    node.stop()
    spool.close()


if __name__ == "__main__":
    main()
