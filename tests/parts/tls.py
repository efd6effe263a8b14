"""An authority with the certificates of a server and of who may ask it, as the keys of a Secret have them."""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Signed:
    """A certificate and its key, PEM."""

    certificate: str
    key: str


class Authority:
    """A new authority that nobody knows."""

    def __init__(self, name: str = "tests") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        built = _certificate(self._name, self._name, self._key.public_key(), ends=_now() + _DAY)
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = _pem(built.sign(self._key, hashes.SHA256()))

    def sign(self, name: str, *, address: str | None = None, expired: bool = False) -> Signed:
        """A certificate for a server at an address, or for a client; one that is `expired` was good until yesterday."""
        key = ec.generate_private_key(ec.SECP256R1())
        ends = _now() - _DAY if expired else _now() + _DAY
        built = _certificate(_named(name), self._name, key.public_key(), ends=ends)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if address else ExtendedKeyUsageOID.CLIENT_AUTH
        built = built.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if address:
            place = x509.IPAddress(ipaddress.ip_address(address))
            built = built.add_extension(x509.SubjectAlternativeName([place]), critical=False)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Signed(_pem(built.sign(self._key, hashes.SHA256())), private.decode())

    def secret(self, client: Signed) -> dict[str, str]:
        """What a Secret holds of a client of this authority's servers."""
        return {"ca.crt": self.certificate, "tls.crt": client.certificate, "tls.key": client.key}


def write(folder: Path, files: dict[str, str]) -> dict[str, Path]:
    """Write files that their owner alone may read, and return where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o600)
    return {name: folder / name for name in files}


def _certificate(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, ends: dt.datetime
) -> x509.CertificateBuilder:
    number = x509.random_serial_number()
    return x509.CertificateBuilder(issuer, name, key, number, ends - 3 * _DAY, ends)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
