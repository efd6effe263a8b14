"""Who built what a workspace runs, signed when it was recorded and checked by whoever asks for it."""

import asyncio
import subprocess

from controller.clients.docker import DockerEngine
from controller.clients.engine_records import EngineRecords
from tests.e2e.scene import Scene


def make_key(scene: Scene) -> str:
    """Write Secret `signing` as users do; return the public key."""
    key = scene.desk.folder / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    scene.desk.write_secret("signing", **{"signing.key": key.read_text()})
    command = ["openssl", "pkey", "-in", str(key), "-pubout"]
    key_pem = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    key.unlink()
    return key_pem


def tamper(scene: Scene, version: str) -> None:
    """Change the commit in a record, as somebody who may write where records are."""

    async def write() -> None:
        async with DockerEngine(scene.fleet.engine) as engine:
            records = EngineRecords(engine, scene.desk.records)
            record = await records.get(version)
            await records.put(record.model_copy(update={"source_commit": "f" * 40}))

    asyncio.run(write())


def test_a_signed_release_is_verified_until_its_record_is_changed(scene: Scene) -> None:
    desk = scene.desk
    desk.only("plain")
    workspace, *_ = scene.populate("0.1.0", "plain-1")
    target = f"docker/local/{workspace.name}"
    unsigned = desk.facts("why", target)["provenance"]
    assert (unsigned["signed"], unsigned["verified"]) == (False, None)

    public = make_key(scene)
    with desk.editing() as spec:
        spec["package"]["signing"] = {"keySecretName": "signing"}
    before = desk.wsr("why", target)
    assert before.code == 1
    assert before.log == (
        "The provenance is not verified. The record of 0.1.0 is not signed, though package.signing names a key: it is "
        "older than the key, or its signature was taken away. The next version will be signed."
    )
    desk.bump("0.1.1")
    desk.run()
    scene.assert_all_run("0.1.1")
    good = desk.facts("why", target)["provenance"]
    assert (good["signed"], good["verified"], good["reason"]) == (True, True, "")
    assert (good["builderVersion"], len(good["inputsSha256"])) == ("0.1.0", 64)

    (desk.folder / "secrets" / "signing" / "signing.key").unlink()
    with desk.editing() as spec:
        spec["package"]["signing"] = {"publicKeys": [public]}
    assert desk.facts("why", target)["provenance"] == good

    tamper(scene, "0.1.1")
    changed = desk.wsr("why", target)
    assert changed.code == 1
    assert changed.log == (
        "The provenance is not verified. The record was changed after it was signed: "
        f"sourceCommit is {'f' * 40}, and nothing was signed."
    )
    assert (
        f"provenance: signed True, keyId {good['keyId']}, verified False, reason The record was changed"
        in changed.out
    )


def test_a_key_that_signs_nothing_stops_the_release_before_it_is_recorded(scene: Scene) -> None:
    scene.desk.write_secret("signing", **{"signing.key": "no key"})
    with scene.desk.editing() as spec:
        spec["package"]["signing"] = {"keySecretName": "signing"}
    scene.desk.bump("0.1.1")
    ended = scene.desk.run(code=1)
    assert ended.log.splitlines()[-1] == (
        "SigningKeyInvalid: Secret signing holds no signing.key that is an Ed25519 private key in PEM, without a "
        "password. Make one with: openssl genpkey -algorithm ed25519 -out signing.key"
    )
    assert scene.published() == ["0.1.0"]
