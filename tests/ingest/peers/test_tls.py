"""TLS: what is agreed on, with whom, and that nobody on its port holds up others; DCMTK is the other side."""

import socket
import ssl
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from cryptography import x509
from pynetdicom import AE

from ingest.errors import BadTls
from ingest.peers import Destination, PeerRule
from ingest.peers.tls import ServerTls, TlsFiles, client_arguments, expiries
from tests.ingest.conftest import House
from tests.ingest.datasets import dataset, element, part10, write_file
from tests.ingest.peers.authority import Authority
from tests.ingest.peers.conftest import Listen, Listening, dcmtk, over_tls

pytestmark = pytest.mark.server

VERIFY = "1.2.840.10008.1.1"


@pytest.fixture
def ours(authority: Authority) -> TlsFiles:
    """The node's own files."""
    return authority.files("CN=LASTGATE,O=Hospital")


def server(files: TlsFiles, clients: Literal["require", "request", "none"] = "require") -> ServerTls:
    return ServerTls(files, clients=clients, deadline_s=1.0)


def handshake(port: int | None, context: ssl.SSLContext) -> tuple[str, str]:
    """Shake hands and read once, since TLS 1.3 tells a client only then what the server thinks of its certificate."""
    with socket.create_connection(("127.0.0.1", port or 0), timeout=10) as plain:
        secured = context.wrap_socket(plain, server_hostname="127.0.0.1")
        with secured:
            secured.settimeout(0.3)
            with suppress(TimeoutError):  # it waits for us
                secured.recv(1)
            cipher = secured.cipher()
            assert cipher is not None
            return secured.version() or "", cipher[0]


def client(files: TlsFiles, *, shows: bool = True) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(files.authorities)
    if shows:
        context.load_cert_chain(files.certificate, files.key)
    return context


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_store_when_dcmtk_speaks_tls_then_it_is_kept_with_the_certificate(
    house: House, listen: Listen, authority: Authority, ours: TlsFiles, tmp_path: Path, profile: str
) -> None:
    rule = PeerRule(title="TPS", certificates=("CN=TPS\\, second floor,O=Hospital",))
    path = tmp_path / "a.dcm"
    path.write_bytes(part10(dataset(tail=element(0x7FE0_0010, b"OW", bytes(3_000_000)))))
    theirs = authority.files("CN=TPS\\, second floor,O=Hospital")
    with listen(rule, tls=server(ours)) as node:
        said = dcmtk("storescu", node.tls_port, "-aet", "TPS", *over_tls(theirs, profile), paths=(path,))
    house.filer.drain()

    assert "Received Store Response (Success)" in said
    (receipt,) = house.receipts()
    assert receipt.source.certificate == "CN=TPS\\, second floor,O=Hospital"


def test_title_when_bound_to_a_certificate_then_no_other_gets_in_by_it(
    listen: Listen, authority: Authority, ours: TlsFiles
) -> None:
    tps, other = authority.files("CN=TPS"), authority.files("CN=OTHER")
    rules = (PeerRule(title="TPS", certificates=("CN=TPS",)), PeerRule(title="PRINT", certificates=(fingerprint(tps),)))
    with listen(*rules, tls=server(ours)) as node:
        said = {
            (title, name): "(Success)" in dcmtk("echoscu", node.tls_port, "-aet", title, *over_tls(files))
            for title in ("TPS", "PRINT")
            for name, files in (("tps", tps), ("other", other))
        }
        plain = dcmtk("echoscu", node.port, "-aet", "TPS")

    assert said == {("TPS", "tps"): True, ("TPS", "other"): False, ("PRINT", "tps"): True, ("PRINT", "other"): False}
    assert "Calling AE Title Not Recognized" in plain


def fingerprint(files: TlsFiles) -> str:
    from cryptography.hazmat.primitives import hashes

    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    return f"sha256:{certificate.fingerprint(hashes.SHA256()).hex()}"


def test_handshake_when_both_can_then_it_is_tls_1_3_and_else_1_2_with_forward_secrecy(
    listen: Listen, ours: TlsFiles
) -> None:
    older = client(ours)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with listen(unknown="accept", tls=server(ours)) as node:
        newest, lowest = handshake(node.tls_port, client(ours)), handshake(node.tls_port, older)

    assert newest[0] == "TLSv1.3"
    assert lowest[0] == "TLSv1.2"
    assert lowest[1].startswith("ECDHE-")
    assert "GCM" in lowest[1] or "CHACHA20" in lowest[1]


def test_handshake_when_the_peer_speaks_what_is_outworn_then_it_is_refused_and_told(
    listen: Listen, authority: Authority, ours: TlsFiles
) -> None:
    stranger = Authority(authority.folder / "elsewhere").files("CN=TPS")
    with listen(unknown="accept", tls=server(ours)) as node:
        refused = {
            "tls 1.1": openssl(node, ours, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
            "cbc": openssl(node, ours, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"),
            "null": openssl(node, ours, "-tls1_2", "-cipher", "ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0"),
            "no certificate": openssl(node, None),
            "stranger": openssl(node, replace(stranger, authorities=ours.authorities)),
        }
        agreed = openssl(node, ours, "-tls1_2")

    assert agreed
    assert refused == dict.fromkeys(refused, False)
    codes = {event.subject["reason"] for event in node.events}
    assert codes == {"LG-ING-607"}


def openssl(node: Listening, files: TlsFiles | None, *options: str) -> bool:
    """Return whether OpenSSL's own client gets an association-ready connection: one the server leaves open."""
    shown = ("-cert", str(files.certificate), "-key", str(files.key)) if files else ()
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{node.tls_port}", "-quiet", *shown, *options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            process.wait(timeout=0.8)
        except subprocess.TimeoutExpired:
            process.kill()
            return True
    return False


def test_certificates_when_they_are_not_required_then_a_peer_may_come_without(
    listen: Listen, authority: Authority, ours: TlsFiles
) -> None:
    rules = (PeerRule(title="TPS", certificates=("CN=TPS",)), PeerRule(title="ANY"))
    both: tuple[Literal["request", "none"], ...] = ("request", "none")
    for clients in both:
        with listen(*rules, tls=server(ours, clients)) as node:
            anonymous = ("+tla", "+cf", str(ours.authorities))
            assert "(Success)" in dcmtk("echoscu", node.tls_port, "-aet", "ANY", *anonymous)
            assert "(Success)" not in dcmtk("echoscu", node.tls_port, "-aet", "TPS", *anonymous)


def test_ports_when_a_peer_speaks_the_other_protocol_then_it_is_cut_and_the_node_goes_on(
    listen: Listen, authority: Authority, ours: TlsFiles
) -> None:
    theirs = authority.files("CN=TPS")
    with listen(unknown="accept", tls=server(ours)) as node:
        plain_on_tls = dcmtk("echoscu", node.tls_port, "-to", "5")
        tls_on_plain = dcmtk("echoscu", node.port, "-to", "5", *over_tls(theirs))
        both = [dcmtk("echoscu", node.port), dcmtk("echoscu", node.tls_port, *over_tls(theirs))]

    assert "(Success)" not in plain_on_tls
    assert "(Success)" not in tls_on_plain
    assert all("(Success)" in said for said in both)


def test_handshake_when_a_peer_is_silent_then_others_are_served_and_it_is_cut(
    listen: Listen, authority: Authority, ours: TlsFiles
) -> None:
    theirs = authority.files("CN=TPS")
    with listen(unknown="accept", tls=server(ours)) as node:
        silent = [socket.create_connection(("127.0.0.1", node.tls_port or 0), timeout=20) for _ in range(5)]
        said = dcmtk("echoscu", node.tls_port, *over_tls(theirs))
        ended = [one.recv(1) for one in silent]
        for one in silent:
            one.close()

    assert "(Success)" in said
    assert ended == [b""] * 5


def test_handshake_when_a_peer_drips_then_the_deadline_holds(listen: Listen, ours: TlsFiles) -> None:
    with listen(unknown="accept", tls=server(ours)) as node:
        with socket.create_connection(("127.0.0.1", node.tls_port or 0), timeout=20) as dripping:
            dripping.sendall(b"\x16\x03\x01\x02\x00")
            ended = b"?"
            for _ in range(100):
                time.sleep(0.1)
                try:
                    dripping.sendall(b"\x01")
                except OSError:
                    ended = b""
                    break
        assert ended == b""


def test_port_when_plain_is_off_then_only_tls_is_there(listen: Listen, authority: Authority, ours: TlsFiles) -> None:
    with listen(unknown="accept", tls=server(ours), port=None) as node:
        assert node.port == node.tls_port
        assert "(Success)" in dcmtk("echoscu", node.tls_port, *over_tls(authority.files("CN=TPS")))


def test_files_when_they_are_replaced_then_the_next_handshake_has_the_new_ones(
    listen: Listen, authority: Authority, ours: TlsFiles
) -> None:
    with listen(unknown="accept", tls=server(ours)) as node:
        before = serial(node, ours)
        authority.files("CN=LASTGATE,O=Hospital")
        renewed = serial(node, ours)
        certificate = ours.certificate.read_bytes()
        ours.certificate.write_bytes(certificate[:100])
        half_written = serial(node, authority.files("CN=CLIENT"))
        ours.certificate.write_bytes(certificate)

    assert before != renewed
    assert half_written == renewed


def serial(node: Listening, files: TlsFiles) -> int:
    with (
        socket.create_connection(("127.0.0.1", node.tls_port or 0), timeout=10) as plain,
        client(files).wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        encoded = secured.getpeercert(binary_form=True)
        assert encoded is not None
        return x509.load_der_x509_certificate(encoded).serial_number


def call(destination: Destination, files: TlsFiles) -> bool:
    """Ask a destination for an association, as services that call others do."""
    entity = AE(ae_title="LASTGATE")
    entity.add_requested_context(VERIFY)
    association = entity.associate(
        destination.host, destination.port, ae_title=destination.aet, tls_args=client_arguments(destination, files)
    )
    if association.is_established:
        association.release()
        return True
    return False


@pytest.mark.parametrize(
    ("host", "certificates", "gets_through"),
    [
        ("127.0.0.1", (), True),
        ("10.9.9.9", (), False),
        ("10.9.9.9", ("CN=PACS",), True),
        ("127.0.0.1", ("CN=OTHER",), False),
    ],
)
def test_calling_when_the_other_shows_its_certificate_then_name_or_rule_must_fit(
    listen: Listen, authority: Authority, ours: TlsFiles, host: str, certificates: tuple[str, ...], gets_through: bool
) -> None:
    with listen(unknown="accept", tls=server(authority.files("CN=PACS", host=host))) as node:
        destination = Destination(
            aet="PACS", host="127.0.0.1", port=node.tls_port or 0, tls=True, certificates=certificates
        )
        assert call(destination, ours) is gets_through


def test_calling_when_another_authority_signed_then_nothing_is_sent(
    listen: Listen, authority: Authority, ours: TlsFiles
) -> None:
    stranger = Authority(authority.folder / "elsewhere")
    with listen(unknown="accept", tls=server(stranger.files("CN=PACS"))) as node:
        assert not call(Destination(aet="PACS", host="127.0.0.1", port=node.tls_port or 0, tls=True), ours)


def test_calling_when_dcmtk_listens_then_it_is_spoken_to(authority: Authority, ours: TlsFiles, tmp_path: Path) -> None:
    port, theirs = free_port(), authority.files("CN=PACS")
    command = ["/usr/bin/storescp", "--ignore", *over_tls(theirs), str(port)]
    peer = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        destination = Destination(aet="PACS", host="127.0.0.1", port=port, tls=True)
        wait_for(port)
        assert call(destination, ours)
    finally:
        peer.kill()
        peer.wait()


def wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on {port}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_arguments_when_a_destination_has_no_tls_then_there_are_none(ours: TlsFiles) -> None:
    destination = Destination(aet="PACS", host="127.0.0.1", port=104)

    assert client_arguments(destination, ours) is None
    assert client_arguments(destination, None) is None
    with pytest.raises(BadTls, match=r"node\.tls"):
        client_arguments(replace(destination, tls=True), None)


def test_files_when_they_can_not_be_used_then_it_is_said_which(
    authority: Authority, ours: TlsFiles, tmp_path: Path
) -> None:
    other = authority.files("CN=OTHER")
    encrypted = tmp_path / "encrypted.key"
    subprocess.run(
        ["openssl", "pkey", "-in", str(ours.key), "-aes256", "-passout", "pass:x", "-out", str(encrypted)], check=True
    )
    encrypted.chmod(0o400)
    empty = write_file(tmp_path / "no.pem")
    for files, told in (
        (replace(ours, key=other.key), "mismatch"),
        (replace(ours, key=encrypted), "encrypted"),
        (replace(ours, key=tmp_path / "missing"), "missing can't be read"),
        (replace(ours, certificate=tmp_path / "missing"), "No such file"),
        (replace(ours, authorities=empty), r"no\.pem can't be used"),
    ):
        with pytest.raises(BadTls, match=told):
            ServerTls(files)
    other.key.chmod(0o440)
    with pytest.raises(BadTls, match="chmod 0400"):
        ServerTls(other)


def test_expiries_when_asked_then_every_certificate_is_named(authority: Authority) -> None:
    soon = authority.files("CN=SOON", days=3)

    left = {subject: (ends - datetime.now(UTC)).days for subject, ends in expiries(soon)}

    assert left == {"CN=SOON": 2, "CN=Authority,O=Hospital": 3649}
