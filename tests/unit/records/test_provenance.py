"""A signature is over what never changes in a record; whatever of it is changed afterwards is found and named."""

import base64
import hashlib
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from controller.api.v1alpha1 import Signing
from controller.clients.signing import Provenance, check, signed
from controller.model.envelope import Envelope, Signature
from controller.model.errors import Terminal
from controller.model.record import ReleaseRecord, Verdict
from controller.model.record_part import Artifact
from controller.model.template_record import TemplateRecord
from controller.settings import Settings

A, B, C, D, E, F = (letter * 64 for letter in "abcdef")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
RECORD = ReleaseRecord(
    package="molecule-ai-workspace-runtime",
    version="0.1.1",
    publisher="molecule/molecule-runtime",
    source_commit="1" * 40,
    tree_sha256=A,
    inputs_sha256=B,
    builder_version="0.1.0",
    wheel=Artifact(file="x-0.1.1-py3-none-any.whl", sha256=C, size=7),
    sdist=Artifact(file="x-0.1.1.tar.gz", sha256=D, size=7),
    content_sha256=E,
    requires=("pyyaml>=6",),
)


def openssl(*arguments: str | Path) -> bytes:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True).stdout


def make_key(secrets: Path, name: str, algorithm: str = "ed25519") -> str:
    """Make a Secret with a private key as users do; return the public one in PEM."""
    file = secrets / name / "signing.key"
    file.parent.mkdir()
    openssl("genpkey", "-algorithm", algorithm, "-out", file)
    file.chmod(0o600)
    return openssl("pkey", "-in", file, "-pubout").decode()


def key_id(public: str) -> str:
    body = "".join(public.strip().splitlines()[1:-1])
    return hashlib.sha256(base64.b64decode(body)).hexdigest()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        state_dir=tmp_path, docker_host="", docker_config=tmp_path / "config.json", secrets_dir=tmp_path
    )


@pytest.fixture
def public(tmp_path: Path) -> str:
    return make_key(tmp_path, "signing")


BY_SECRET = Signing.model_validate({"keySecretName": "signing"})


def by_key(*public: str) -> Signing:
    return Signing.model_validate({"publicKeys": list(public)})


@pytest.fixture
def record(settings: Settings, public: str) -> ReleaseRecord:
    made = signed(RECORD, BY_SECRET, settings)
    assert made.provenance is not None
    assert [each.keyid for each in made.provenance.signatures] == [key_id(public)]
    return ReleaseRecord.from_json(made.to_json(), where="a store")


def test_what_was_signed_is_verified_by_whoever_has_the_private_or_only_the_public_key(
    record: ReleaseRecord, settings: Settings, public: str, tmp_path: Path
) -> None:
    good = Provenance(signed=True, key_id=key_id(public), verified=True, reason="")
    assert check(record, BY_SECRET, settings) == good
    (tmp_path / "signing" / "signing.key").unlink()
    assert check(record, by_key(public), settings) == good


def test_a_record_without_a_named_key_stays_as_it_is(settings: Settings, public: str) -> None:
    assert signed(RECORD, None, settings) == RECORD
    assert signed(RECORD, by_key(public), settings) == RECORD


def test_the_signature_is_one_that_other_tools_check(
    record: ReleaseRecord, public: str, tmp_path: Path
) -> None:
    envelope = json.loads(record.to_json())["provenance"]
    assert envelope.keys() == {"payloadType", "payload", "signatures"}
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    payload = base64.b64decode(envelope["payload"])
    # What the DSSE specification says is signed, put together by hand.
    (tmp_path / "message").write_bytes(
        b"DSSEv1 28 application/vnd.in-toto+json " + str(len(payload)).encode() + b" " + payload
    )
    (tmp_path / "signature").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    (tmp_path / "public").write_text(public)
    files = ("-sigfile", tmp_path / "signature", "-in", tmp_path / "message")
    said = openssl("pkeyutl", "-verify", "-pubin", "-inkey", tmp_path / "public", "-rawin", *files)
    assert b"Verified Successfully" in said


def test_what_is_signed_is_slsa_provenance_of_the_files_and_their_source(record: ReleaseRecord) -> None:
    assert record.provenance is not None
    statement = json.loads(base64.b64decode(record.provenance.payload))
    assert (statement["_type"], statement["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    assert statement["subject"] == [
        {"name": "x-0.1.1-py3-none-any.whl", "digest": {"sha256": C}},
        {"name": "x-0.1.1.tar.gz", "digest": {"sha256": D}},
    ]
    build = statement["predicate"]["buildDefinition"]
    assert build["resolvedDependencies"] == [
        {"name": "source", "digest": {"sha256": A, "gitCommit": "1" * 40}}
    ]
    assert build["buildType"].endswith("/package/v1")
    assert statement["predicate"]["runDetails"]["builder"]["version"] == {"builder": "0.1.0"}


def test_an_adopted_version_is_signed_as_what_it_is(settings: Settings, public: str) -> None:
    nothing = dict.fromkeys(("source_commit", "tree_sha256", "inputs_sha256", "builder_version", "sdist"))
    adopted = signed(RECORD.model_copy(update=nothing), BY_SECRET, settings)
    assert adopted.provenance is not None
    build = json.loads(base64.b64decode(adopted.provenance.payload))["predicate"]["buildDefinition"]
    assert build["buildType"].endswith("/adoption/v1")
    assert build["resolvedDependencies"] == []
    assert check(adopted, by_key(public), settings).verified is True


def test_what_becomes_of_a_version_is_not_under_the_signature(
    record: ReleaseRecord, settings: Settings
) -> None:
    judged = record.published(NOON).judged(Verdict(value="Good", reason="UpToDate", time=NOON))
    lived = judged.with_template("echo", TemplateRecord(image="ws/echo:1")).model_copy(
        update={"promoted": True}
    )
    assert check(lived, BY_SECRET, settings).verified is True


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"source_commit": "2" * 40}, f"sourceCommit is {'2' * 40}, and {'1' * 40} was signed"),
        ({"source_commit": None}, f"sourceCommit is nothing, and {'1' * 40} was signed"),
        ({"tree_sha256": F}, f"treeSha256 is {F}, and {A} was signed"),
        ({"inputs_sha256": F}, f"inputsSha256 is {F}, and {B} was signed"),
        ({"builder_version": "9"}, "builderVersion is 9, and 0.1.0 was signed"),
        ({"wheel": Artifact(file="x.whl", sha256=F, size=7)}, f"wheelSha256 is {F}, and {C} was signed"),
        ({"sdist": None}, f"sdistSha256 is nothing, and {D} was signed"),
        ({"content_sha256": F}, f"contentSha256 is {F}, and {E} was signed"),
        ({"requires": ("evil>=1",)}, "requires is evil>=1, and pyyaml>=6 was signed"),
        ({"publisher": "a/b"}, "publisher is a/b, and molecule/molecule-runtime was signed"),
        ({"package": "y"}, "package is y, and molecule-ai-workspace-runtime was signed"),
        ({"version": "0.1.2"}, "version is 0.1.2, and 0.1.1 was signed"),
    ],
)
def test_a_record_that_was_changed_after_signing_says_what_differs(
    record: ReleaseRecord, settings: Settings, public: str, change: dict[str, object], told: str
) -> None:
    changed = record.model_copy(update=change)
    assert check(changed, BY_SECRET, settings) == Provenance(
        signed=True,
        key_id=key_id(public),
        verified=False,
        reason=f"The record was changed after it was signed: {told}.",
    )


def with_envelope(record: ReleaseRecord, **changes: Any) -> ReleaseRecord:  # noqa: ANN401 -- any field
    assert record.provenance is not None
    return record.model_copy(update={"provenance": record.provenance.model_copy(update=changes)})


@pytest.mark.parametrize("spoil", ["payload", "type", "signature", "no base64"])
def test_an_envelope_that_was_changed_does_not_verify(
    record: ReleaseRecord, settings: Settings, public: str, spoil: str
) -> None:
    assert record.provenance is not None
    other = signed(RECORD.model_copy(update={"wheel": RECORD.sdist}), BY_SECRET, settings).provenance
    assert other is not None
    sig = record.provenance.signatures[0]
    changed: dict[str, dict[str, object]] = {
        "payload": {"payload": other.payload},
        "type": {"payload_type": "application/json"},
        "signature": {"signatures": other.signatures},
        "no base64": {"signatures": (Signature(keyid=sig.keyid, sig="%%%"),)},
    }
    found = check(with_envelope(record, **changed[spoil]), BY_SECRET, settings)
    assert (found.verified, found.reason) == (
        False,
        f"The signature of key {key_id(public)} does not fit what it stands on: one of them was changed.",
    )


def test_a_signature_over_something_else_is_no_provenance(
    settings: Settings, public: str, tmp_path: Path
) -> None:
    (tmp_path / "message").write_bytes(b"DSSEv1 1 t 2 {}")
    key = tmp_path / "signing" / "signing.key"
    bits = openssl("pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", tmp_path / "message")
    envelope = Envelope(
        payload_type="t",
        payload=base64.b64encode(b"{}").decode(),
        signatures=(Signature(keyid=key_id(public), sig=base64.b64encode(bits).decode()),),
    )
    found = check(RECORD.model_copy(update={"provenance": envelope}), BY_SECRET, settings)
    assert found.reason == (
        "The record was changed after it was signed: what was signed is no provenance of a release."
    )


def test_a_key_that_the_document_does_not_name_is_told_with_those_that_it_names(
    record: ReleaseRecord, settings: Settings, public: str, tmp_path: Path
) -> None:
    another = make_key(tmp_path, "another")
    found = check(record, by_key(another), settings)
    assert found == Provenance(
        signed=True,
        key_id=key_id(public),
        verified=False,
        reason=f"It is signed with key {key_id(public)}, and package.signing names {key_id(another)}. "
        "Add the key to publicKeys if you trust it.",
    )
    assert check(record, by_key(another, public), settings).verified is True


def test_a_missing_signature_is_told_when_a_key_is_named(settings: Settings, public: str) -> None:
    assert check(RECORD, by_key(public), settings) == Provenance(
        signed=False,
        key_id=None,
        verified=False,
        reason="The record of 0.1.1 is not signed, though package.signing names a key: it is older than the key, or "
        "its signature was taken away. The next version will be signed.",
    )


def test_without_a_key_nothing_is_said_to_be_wrong(record: ReleaseRecord, settings: Settings) -> None:
    assert check(RECORD, None, settings) == Provenance(
        signed=False, key_id=None, verified=None, reason="The record is not signed, and no key is named."
    )
    found = check(record, None, settings)
    assert (found.signed, found.verified, found.reason) == (
        True,
        None,
        "The document names no key to check it with.",
    )


def test_a_key_of_another_kind_or_none_is_refused_with_the_command_that_makes_one(
    settings: Settings, tmp_path: Path
) -> None:
    other = make_key(tmp_path, "other", "x25519")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "token").write_text("x")
    (tmp_path / "empty" / "token").chmod(0o600)
    for name in ("other", "empty"):
        with pytest.raises(Terminal) as caught:
            signed(RECORD, Signing.model_validate({"keySecretName": name}), settings)
        assert (caught.value.reason, str(caught.value)) == (
            "SigningKeyInvalid",
            (
                f"Secret {name} holds no signing.key that is an Ed25519 private key in PEM, without a password. "
                "Make one with: openssl genpkey -algorithm ed25519 -out signing.key"
            ),
        )
    with pytest.raises(Terminal) as caught:
        check(RECORD, by_key(other), settings)
    assert str(caught.value) == (
        "An entry of package.signing.publicKeys is no Ed25519 public key in PEM. "
        "Write what this prints: openssl pkey -in signing.key -pubout"
    )


def test_a_private_key_is_not_taken_for_a_public_one(tmp_path: Path, public: str) -> None:
    assert public
    with pytest.raises(ValidationError):
        by_key((tmp_path / "signing" / "signing.key").read_text())
