"""`wsr resume` opens the Secrets that it needs and no other: whoever may resume need not be able to publish."""

import asyncio
import secrets
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.cli._resume import resume_version
from controller.model.errors import Terminal
from controller.model.record import HeldBack, Verdict
from tests.contract.record_promises import NOON, record
from tests.contract.released import PUBLISHER, document_of, keep

FAILED = Verdict(value="Failed", reason="GateFailed", message="It failed.", time=NOON)
NOTE = HeldBack(reason="GateFailed", message="It failed.", refused=("x",), time=NOON)


async def resumed(registry: str, engine: str, folder: Path, **facts: Any) -> str:  # noqa: ANN401 -- of the record
    """What it says of a version with this record, where the Secret of the index is not to be had."""
    repository = f"{registry}/t{secrets.token_hex(4)}"
    await keep(repository, record("0.1.2", publisher=PUBLISHER).model_copy(update=facts))
    file = document_of(folder, repository=repository, engine=engine)
    document = yaml.safe_load(file.read_text())
    document["spec"]["package"]["index"]["credentialsSecretName"] = "index"
    file.write_text(yaml.safe_dump(document))
    (folder / "secrets").mkdir()
    return await asyncio.to_thread(resume_version, file, state=folder / "state", secrets=folder / "secrets")


@pytest.mark.parametrize(
    ("facts", "answer"),
    [
        ({"verdict": FAILED}, "Version 0.1.2 is no longer held; the next pass tries it again."),
        (
            {"published_time": NOON, "held_back": {"greeter": NOTE}},
            "The next pass tries greeter of 0.1.2 again.",
        ),
    ],
    ids=["held", "public"],
)
async def test_what_failed_or_is_public_is_resumed_without_the_password_of_the_index(
    facts: dict[str, Any], answer: str, registry: str, engine: str, tmp_path: Path
) -> None:
    assert await resumed(registry, engine, tmp_path, **facts) == answer


async def test_what_the_index_may_stand_in_the_way_of_is_asked_there_and_needs_it(
    registry: str, engine: str, tmp_path: Path
) -> None:
    with pytest.raises(Terminal, match="names Secret index, which cannot be read from"):
        await resumed(registry, engine, tmp_path)
