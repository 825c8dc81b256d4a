"""The DICOM node: what other systems on the network speak to."""

from ingest.node.server import Node
from ingest.node.settings import NodeSettings

__all__ = ["Node", "NodeSettings"]
