"""Which images a registry is seen to serve: under tags that somebody moves or deletes meanwhile, and under no tag."""

import secrets
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from builder.oci import Client, Reference
from controller.api.v1alpha1 import Template
from controller.clients.registry import Registry, RegistryAccess
from controller.model.delivery import DeliveredImage
from controller.model.observed import Known, Observed
from controller.observe.deliveries import Seen, read_deliveries
from controller.observe.images import read_recorded_images, read_registry_image
from tests.contract.test_image_facts import put_image


def now() -> datetime:
    return datetime.now(UTC)


def known(seen: Observed[tuple[DeliveredImage, ...]]) -> list[tuple[str, str]]:
    assert isinstance(seen, Known)
    return [(image.reference.rpartition(":")[2], image.digest) for image in seen.value]


async def test_an_image_that_lost_its_tag_is_seen_by_digest_until_it_is_deleted(registry: str) -> None:
    name = f"t{secrets.token_hex(4)}/greeter"
    reference = f"{registry}/{name}:0.1.1-nogit-0"
    ours = await put_image(registry, f"{name}:0.1.1-nogit-0", made="here")
    theirs = await put_image(registry, f"{name}:0.1.1-nogit-0", made="elsewhere")
    async with Registry(RegistryAccess(registry, insecure=True)) as client:

        async def look(references: Collection[str]) -> Mapping[str, Observed[str | None]]:
            return {each: await read_registry_image(client, each, now=now()) for each in references}

        by_digest = f"{registry}/{name}@{ours}"
        images = await read_recorded_images(look, [], {reference: ours})
        assert images == {reference: Known(theirs), by_digest: Known(ours)}
        await _delete(reference, theirs)
        images = await read_recorded_images(look, [], {reference: ours})
        assert images == {reference: Known(None), by_digest: Known(ours)}
        await _delete(reference, ours)
        images = await read_recorded_images(look, [], {reference: ours})
        assert images == {reference: Known(None), by_digest: Known(None)}


async def test_a_tag_of_the_version_that_is_pushed_again_shows_the_image_that_it_stands_for_now(
    registry: str,
) -> None:
    name = f"t{secrets.token_hex(4)}/greeter"
    template = Template.model_validate(
        {"name": "greeter", "image": f"{registry}/{name}", "build": {"strategy": "Follow"}}
    )
    seen: Seen = {}

    async def look(client: Registry) -> list[tuple[str, str]]:
        found = await read_deliveries(
            client, template, moving={}, version="0.1.1", platform=None, seen=seen, now=now()
        )
        return known(found)

    async with Registry(RegistryAccess(registry, insecure=True)) as client:
        assert await look(client) == []
        first = await put_image(registry, f"{name}:0.1.1", made="first")
        assert await look(client) == [("0.1.1", first)]
        second = await put_image(registry, f"{name}:0.1.1", made="second")
        assert await look(client) == [("0.1.1", second)]
        await _delete(f"{registry}/{name}:0.1.1", second)
        assert await look(client) == []


async def _delete(reference: str, digest: str) -> None:
    async with Client(insecure=True) as client:
        await client.delete(Reference.parse(reference), digest)
