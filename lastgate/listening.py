"""The sockets a node is called on: without and with TLS, bound once and shared by all processes that receive."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from lastgate.peering import tls_files_of
from lastgate.settings import Settings, SettingsError

BACKLOG = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Where connections come in; at least one is there."""

    plain: socket.socket | None = None
    tls: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port without TLS, or else the one with it."""
        one = self.plain or self.tls
        assert one is not None
        return int(one.getsockname()[1])

    def listen(self) -> None:
        """Begin to take connections."""
        for one in (self.plain, self.tls):
            if one is not None:
                one.listen(BACKLOG)


@contextmanager
def bound(settings: Settings, *, port: int | None = None) -> Iterator[Listeners]:
    """Bind the addresses of a node; it does not listen yet.

    Parameters
    ----------
    port
        The one without TLS, instead of that of the settings; 0 takes a free one.

    Raises
    ------
    SettingsError
        An address can't be had, or there is none.
    """
    node = settings.node
    plain_port = node.port if port is None else port
    with ExitStack() as stack:
        plain = tls = None
        if plain_port is not None:
            plain = stack.enter_context(_bound(node.host, plain_port, "node.port"))
        if node.tls.port is not None and tls_files_of(node) is not None:
            tls = stack.enter_context(_bound(node.host, node.tls.port, "node.tls.port"))
        if plain is None and tls is None:
            raise SettingsError("node.port is off, and so is TLS: nobody could call. Name the files of node.tls")
        yield Listeners(plain=plain, tls=tls)


def _bound(host: str, port: int, setting: str) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise SettingsError(
            f"The node can't listen on {host}:{port}: {error.strerror}. Stop what uses it, or set another {setting}"
        ) from error
    return listener
