"""The OCI client against a registry with a certificate of a private authority."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from builder.oci import (
    Blob,
    Client,
    Corrupt,
    Credential,
    Descriptor,
    FixedCredential,
    Reference,
    Refused,
    Unavailable,
    sha256_digest,
)
from tests.parts.certificate import Certificate, make_certificate
from tests.parts.registry import running_registry


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of a registry that speaks TLS, and the authority to trust."""
    folder = tmp_path_factory.mktemp("tls")
    certificate = make_certificate(folder)
    with running_registry(folder, tls=certificate) as address:
        yield address, certificate.file


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


@asynccontextmanager
async def _server(
    certificate: Certificate, answer: Callable[[web.Request], web.Response]
) -> AsyncIterator[str]:
    """`host:port` of a TLS server that answers so."""

    async def answered(request: web.Request) -> web.Response:
        return answer(request)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answered)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.file, certificate.key_file)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield "{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


async def test_what_leads_to_plain_http_is_not_followed(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    digest = sha256_digest(b"x")

    def lead_away(request: web.Request) -> web.Response:
        status = 202 if request.method == "POST" else 307
        return web.Response(status=status, headers={"Location": f"http://{request.host}/elsewhere"})

    async with _server(certificate, lead_away) as address, Client(ca_file=certificate.file) as client:
        reference = Reference.parse(f"{address}/oci/any:1")
        asked: dict[str, Callable[[], Awaitable[object]]] = {
            f"GET {reference}": lambda: client.manifest(reference),
            f"HEAD {reference.name}@{digest}": lambda: client.has_blob(reference, digest),
            f"PUT {reference.name}@{digest}": lambda: client.upload(reference, b"x", digest=digest),
        }
        for what, ask in asked.items():
            with pytest.raises(Refused) as refused:
                await ask()
            assert str(refused.value) == (
                f"{what} leads to http://{address}, which is not HTTPS, so it was not sent. Correct the registry's "
                "external address (behind a proxy: X-Forwarded-Proto), or say registry.insecure: true."
            )


async def test_a_blob_may_be_elsewhere_and_nothing_secret_goes_there(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    authorizations: list[str | None] = []

    def store(request: web.Request) -> web.Response:
        authorizations.append(request.headers.get("Authorization"))
        return web.Response(body=b"x")

    def registry(request: web.Request) -> web.Response:
        if "Authorization" not in request.headers:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="r"'})
        return web.Response(status=307, headers={"Location": f"https://{elsewhere}/signed?by=us"})

    async with _server(certificate, store) as elsewhere, _server(certificate, registry) as address:
        known = FixedCredential(address, Credential("robot", "right"))
        async with Client(known, ca_file=certificate.file) as client:
            blob = Descriptor.of("text/plain", b"x")
            assert await client.blob(Reference.parse(f"{address}/oci/any"), blob) == b"x"
    assert authorizations == [None]


async def test_redirects_without_end_are_refused(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)

    def circle(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": str(request.url)})

    async with _server(certificate, circle) as address, Client(ca_file=certificate.file) as client:
        reference = Reference.parse(f"{address}/oci/any:1")
        with pytest.raises(Corrupt) as refused:
            await client.manifest(reference)
    assert str(refused.value) == f"{address} redirected {reference} more than 5 times."
