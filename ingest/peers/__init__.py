"""Who may do what with the node, how it is known who they are, and where they can be reached."""

from ingest.peers.rules import Destination, PeerRule, Peers

__all__ = ["Destination", "PeerRule", "Peers"]
