"""The cluster's certificates and kubeconfigs: one authority, a certificate for each server and each client."""

import datetime as dt
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.cluster.place import DOMAIN, FIRST_SERVICE, GATEWAY, NODE, Place

CONTEXT = "wsr-cluster"
"""The context and user of our kubeconfigs."""
CLIENTS = ("admin", "controllers", "scheduler", "proxy", "kubelet")
_DAYS = 3650


@dataclass(frozen=True)
class _Wanted:
    """Who a certificate is for: common name, organisation, and where a server answers."""

    name: str
    common_name: str
    organisation: str = ""
    hosts: Sequence[str] = field(default_factory=tuple)


# Organisation and name are what the authorizers go by: `system:masters` may do everything, a node what is its own.
_WANTED = (
    _Wanted(
        "apiserver",
        "kube-apiserver",
        hosts=(
            *("localhost", "127.0.0.1", FIRST_SERVICE, GATEWAY),
            *(
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                f"kubernetes.default.svc.{DOMAIN}",
            ),
        ),
    ),
    _Wanted("kubelet-server", f"system:node:{NODE}", "system:nodes", (NODE, GATEWAY)),
    _Wanted("admin", "admin", "system:masters"),
    _Wanted("controllers", "system:kube-controller-manager"),
    _Wanted("scheduler", "system:kube-scheduler"),
    _Wanted("proxy", "system:kube-proxy"),
    _Wanted("kubelet", f"system:node:{NODE}", "system:nodes"),
)


def make_certificates(place: Place) -> None:
    """Make all keys, certificates and kubeconfigs, unless they are there."""
    if place.outside.exists():
        return
    place.folder("pki")
    authority = _Authority(place)
    for wanted in _WANTED:
        authority.issue(wanted)
    accounts = ec.generate_private_key(ec.SECP256R1())
    _write_key(place.key_file("accounts"), accounts)
    public = accounts.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    place.key_file("accounts").with_suffix(".pub").write_bytes(public)
    port = place.ports()["api"]
    for client in CLIENTS:
        _write_kubeconfig(place, client, place.kubeconfig(client), f"https://{GATEWAY}:{port}")
    _write_kubeconfig(place, "admin", place.outside, f"https://127.0.0.1:{port}")


class _Authority:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster")])
        usage = _usage(key_cert_sign=True, crl_sign=True)
        made = (
            _builder(self._name, self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        )
        _write_key(place.key_file("ca"), self._key)
        self._write("ca", made)

    def issue(self, wanted: _Wanted) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, wanted.common_name)]
        if wanted.organisation:
            subject.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, wanted.organisation))
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if wanted.hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        made = (
            _builder(x509.Name(subject), self._name, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if wanted.hosts:
            made = made.add_extension(
                x509.SubjectAlternativeName([_host(host) for host in wanted.hosts]), critical=False
            )
        _write_key(self._place.key_file(wanted.name), key)
        self._write(wanted.name, made)

    def _write(self, name: str, made: x509.CertificateBuilder) -> None:
        certificate = made.sign(self._key, hashes.SHA256())
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        self._place.certificate_file(name).write_bytes(pem)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return x509.CertificateBuilder(
        issuer,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        now - dt.timedelta(days=1),
        now + dt.timedelta(days=_DAYS),
    )


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    file.touch(mode=0o600)
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def _write_kubeconfig(place: Place, client: str, file: Path, server: str) -> None:
    """Write it as JSON, which is YAML, too."""
    cluster = {"server": server, "certificate-authority": str(place.certificate_file("ca"))}
    user = {
        "client-certificate": str(place.certificate_file(client)),
        "client-key": str(place.key_file(client)),
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": user}],
    }
    file.write_text(json.dumps(document, indent=1))
