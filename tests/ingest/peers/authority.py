"""A certificate authority of a department that does not exist, and the files it gives out."""

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ingest.peers.tls import TlsFiles


@dataclass
class Authority:
    """Signs certificates and writes them into a folder.

    Parameters
    ----------
    folder
        Where its files go.
    name
        Common name of its own certificate.
    """

    folder: Path
    name: str = "Authority"
    key: ec.EllipticCurvePrivateKey = field(init=False)
    certificate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name.from_rfc4514_string(f"CN={self.name},O=Hospital")
        self.certificate = (
            _builder(subject, subject, self.key.public_key(), days=3650)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.path.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    @property
    def path(self) -> Path:
        """The file with its own certificate."""
        return self.folder / "authorities.pem"

    def files(self, subject: str, *, host: str = "127.0.0.1", days: int = 365) -> TlsFiles:
        """Write a certificate for `subject` and `host` with its key and return the files."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(x509.Name.from_rfc4514_string(subject), self.certificate.subject, key.public_key(), days=days)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        stem = self.folder / subject.replace("=", "-").replace(",", "_")
        path, key_path = stem.with_suffix(".pem"), stem.with_suffix(".key")
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
        key_path.unlink(missing_ok=True)
        key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        key_path.chmod(0o400)
        return TlsFiles(certificate=path, key=key_path, authorities=self.path)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=days))
    )
