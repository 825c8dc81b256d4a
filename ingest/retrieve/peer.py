"""Where instances are sent to."""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ingest.errors import BadPeer

_MOST_TITLE_CHARS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Where to send to.

    Parameters
    ----------
    aet, host, port
        Application entity title, name or address, and port.
    seal
        Makes a plain connection one over TLS; None sends in the clear.
    """

    aet: str
    host: str
    port: int
    seal: Callable[[socket.socket], ssl.SSLSocket] | None = None

    def __str__(self) -> str:
        return f"{self.aet}@{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> "Peer":
        """Read ``AET@HOST:PORT``.

        Raises
        ------
        BadPeer
            It is not written so.
        """
        aet, _, place = text.partition("@")
        host, _, port = place.rpartition(":")
        if not (aet.strip() and host and port.isascii() and port.isdecimal()):
            raise BadPeer(f"{text!r} names no peer; write AET@HOST:PORT, such as TPS@10.0.0.7:104")
        if len(aet) > _MOST_TITLE_CHARS or not (aet.isascii() and aet.isprintable()) or "\\" in aet:
            raise BadPeer(f"{aet!r} is no application entity title: it has 1 to 16 ASCII characters and no backslash")
        if not 1 <= int(port) <= 65535:
            raise BadPeer(f"{port} is no port: it lies between 1 and 65535")
        return cls(aet=aet, host=host, port=int(port))
