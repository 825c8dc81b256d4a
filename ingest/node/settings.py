"""How the node presents itself and what it puts up with."""

from dataclasses import dataclass, field

from ingest.peers.rules import Peers


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """How the node presents itself and what it puts up with.

    Parameters
    ----------
    ae_title
        Ours, at most 16 characters.
    bind, port
        Address to listen on; port 0 takes a free one, None listens with TLS only.
    checks_called_ae
        Reject peers that call us by another title, unless their rule names it.
    peers
        Who may call, and what each may do.
    tls_port
        Port of associations over TLS, where the node speaks it; 0 takes a free one.
    associations
        How many at once.
    processes
        How many nodes accept from the same sockets.
    pdu_bytes
        The longest PDU we announce to take; anything up to `guard_bytes` is read.
    pdu_deadline_s
        Within this time a PDU that has begun must be there whole.
    negotiation_s
        Within this time a peer that connected must have asked for an association.
    idle_s
        An association silent for so long is ended.
    object_bytes
        The longest instance that is taken.
    issuer
        Issuer of patient identifiers that name none, where the rule of the sender names none either.
    """

    ae_title: str = "LASTGATE"
    bind: str = "127.0.0.1"
    port: int | None = 11112
    checks_called_ae: bool = False
    peers: Peers = field(default_factory=Peers)
    tls_port: int = 2762
    associations: int = 32
    processes: int = 1
    pdu_bytes: int = 128 * 1024
    guard_bytes: int = 1024 * 1024
    pdu_deadline_s: float = 30.0
    negotiation_s: float = 15.0
    idle_s: float = 300.0
    object_bytes: int = 16 * 1024**3
    issuer: str = ""
