"""Publishing with nothing but the identity of the job: the issuer is asked for it, and the index exchanges it."""

from dataclasses import replace
from pathlib import Path

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from controller.act.publish import publish
from controller.variables import IdentityIssuer
from tests.contract.publishing import make_release
from tests.contract.test_trusted_publishing import AUDIENCE, Mint, identity
from tests.integration.publish.test_actions import Place, place, publication

__all__ = ["place"]


async def test_a_job_without_a_token_publishes_as_who_it_is(place: Place, tmp_path: Path) -> None:
    mint, given = Mint(place.real), identity()
    place.proxy.faults.append(mint.answer)
    place.proxy.headers = mint.headers

    async def issue(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer asks-for-identities"
        assert request.query["audience"] == AUDIENCE
        return web.json_response({"value": given})

    application = web.Application()
    application.router.add_get("/idtoken", issue)
    async with TestServer(application) as issuer:
        settings = replace(
            place.parts.settings,
            identity=IdentityIssuer(str(issuer.make_url("/idtoken")), "asks-for-identities"),
        )
        parts = replace(place.parts, settings=settings)
        document = place.document
        index = document.spec.package.index.model_copy(update={"credentials_secret_name": None})
        package = document.spec.package.model_copy(update={"index": index})
        document = document.model_copy(update={"spec": document.spec.model_copy(update={"package": package})})
        made = make_release(tmp_path / "dist", place.project, "0.1.1")
        done = await publish(parts, document, publication(await place.record(made)))
    assert done == "the index serves it"
    assert place.real.files(place.project) == made.sha256
    assert mint.bodies == [{"token": given}]
    assert mint.uploads_with == [aiohttp.encode_basic_auth("__token__", mint.token)] * 2
    assert not list(parts.folder.glob("publish-*")), "the identity is gone with the run"
    assert given not in "".join(place.said)
