"""The OCI client against a registry with a certificate of a private authority."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.oci import Blob, Client, Reference, Unavailable
from tests.parts.ground import need
from tests.parts.servers import free_port, serving, status_of


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of a registry that speaks TLS, and the authority to trust."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    words += [
        "-subj",
        "/CN=tests",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run(words, check=True, capture_output=True)
    address = f"127.0.0.1:{free_port()}"
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address, "secret": "x", "tls": {"certificate": str(certificate), "key": str(key)}},
    }
    (folder / "config.yml").write_text(json.dumps(config))
    with serving(
        [need("docker-registry", package="docker-registry"), "serve", str(folder / "config.yml")],
        # plain HTTP to a TLS server is answered 400: it is up
        answers=lambda: status_of(f"http://{address}/v2/") == 400,
        what="docker-registry with TLS",
        log=folder / "log",
    ):
        yield address, certificate


async def test_a_private_authority_is_trusted_when_its_file_is_named(private: tuple[str, Path]) -> None:
    address, authority = private
    reference = Reference.parse(f"{address}/oci/tls:1")
    async with Client(ca_file=authority) as client:
        digest = await client.put_artifact(reference, [Blob("text/plain", b"x")], artifact_type="text/plain")
        assert (await client.head(reference)).digest == digest


async def test_an_unknown_authority_is_refused_and_the_cure_named(private: tuple[str, Path]) -> None:
    async with Client() as client:
        with pytest.raises(Unavailable, match=r"The certificate of \S+ is not trusted .* Name the CA file"):
            await client.head(Reference.parse(f"{private[0]}/oci/tls:1"))
