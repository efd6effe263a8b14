"""Signs release records with Ed25519 and checks their signatures; the only user of `cryptography`.

It is imported where a key is named, and only there: most documents name none, and it is slow to load.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from controller.api.v1alpha1 import Signing
from controller.model.envelope import Envelope, Signature, decoded, signed_bytes
from controller.model.errors import Terminal
from controller.model.provenance import PAYLOAD_TYPE, differences, payload_of
from controller.model.record import ReleaseRecord
from controller.settings import SIGNING_KEY, Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_FILE: Final = "signing.key"


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is known of a record's signature. `verified` is None where no key is named to check it with."""

    signed: bool
    key_id: str | None
    verified: bool | None
    reason: str


def signed(record: ReleaseRecord, signing: Signing | None, settings: Settings) -> ReleaseRecord:
    """Return the record with a signature over what never changes in it; as it is when no private key is named.

    Raises:
        Terminal: SigningKeyInvalid, SecretNotFound, SecretExposed.
    """
    if signing is None or signing.key_secret_name is None:
        return record
    key = _private_key(signing.key_secret_name, settings)
    payload = payload_of(record)
    signature = Signature(
        keyid=_key_id(key.public_key()), sig=_base64(key.sign(signed_bytes(PAYLOAD_TYPE, payload)))
    )
    envelope = Envelope(payload_type=PAYLOAD_TYPE, payload=_base64(payload), signatures=(signature,))
    return record.model_copy(update={"provenance": envelope})


def check(record: ReleaseRecord, signing: Signing | None, settings: Settings) -> Provenance:
    """Return whether the record is what was signed for it, by one of the keys that the document names.

    Raises:
        Terminal: a key that the document names cannot be read.
    """
    envelope = record.provenance
    keys = _public_keys(signing, settings) if signing else {}
    given = [each.keyid for each in envelope.signatures] if envelope else []
    if envelope is None or not given:
        return _unsigned(record, keys)
    if not keys:
        return Provenance(
            signed=True, key_id=given[0], verified=None, reason="The document names no key to check it with."
        )
    known = next((each for each in envelope.signatures if each.keyid in keys), None)
    if known is None:
        return Provenance(
            signed=True,
            key_id=given[0],
            verified=False,
            reason=f"It is signed with key {given[0]}, and package.signing names {', '.join(keys)}. "
            "Add the key to publicKeys if you trust it.",
        )
    complaint = _complaint(record, envelope, known, keys[known.keyid])
    return Provenance(signed=True, key_id=known.keyid, verified=complaint is None, reason=complaint or "")


def _unsigned(record: ReleaseRecord, keys: Mapping[str, object]) -> Provenance:
    if not keys:
        return Provenance(
            signed=False, key_id=None, verified=None, reason="The record is not signed, and no key is named."
        )
    return Provenance(
        signed=False,
        key_id=None,
        verified=False,
        reason=f"The record of {record.version} is not signed, though package.signing names a key: it is older than "
        "the key, or its signature was taken away. The next version will be signed.",
    )


def _complaint(
    record: ReleaseRecord, envelope: Envelope, signature: Signature, key: Ed25519PublicKey
) -> str | None:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 -- see the module's opening

    payload = decoded(envelope.payload)
    try:
        key.verify(decoded(signature.sig), signed_bytes(envelope.payload_type, payload))
    except InvalidSignature:
        return (
            f"The signature of key {signature.keyid} does not fit what it stands on: one of them was changed."
        )
    changed = differences(record, payload)
    return f"The record was changed after it was signed: {'; '.join(changed)}." if changed else None


def _public_keys(signing: Signing, settings: Settings) -> Mapping[str, Ed25519PublicKey]:
    """Return the keys that the document names, by their ids."""
    keys = [_public_key(text) for text in signing.public_keys]
    if signing.key_secret_name is not None and not keys:
        keys.append(_private_key(signing.key_secret_name, settings).public_key())
    return {_key_id(key): key for key in keys}


def _public_key(text: str) -> Ed25519PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 -- see the module's opening
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 -- the same
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 -- the same

    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise Terminal(
            "SigningKeyInvalid",
            "An entry of package.signing.publicKeys is no Ed25519 public key in PEM.",
            fix=f"Write what this prints: openssl pkey -in {KEY_FILE} -pubout",
        )
    return key


def _private_key(secret: str, settings: Settings) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 -- see the module's opening
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 -- the same
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 -- the same

    file: Path | None = settings.secret(secret, field=SIGNING_KEY).get(KEY_FILE)
    try:
        key = load_pem_private_key(file.read_bytes(), password=None) if file else None
    except (ValueError, TypeError, UnsupportedAlgorithm, OSError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise Terminal(
            "SigningKeyInvalid",
            f"Secret {secret} holds no {KEY_FILE} that is an Ed25519 private key in PEM, without a password.",
            fix=f"Make one with: openssl genpkey -algorithm ed25519 -out {KEY_FILE}",
        )
    return key


def _key_id(key: Ed25519PublicKey) -> str:
    """Return the SHA-256, in hex, of the key's SubjectPublicKeyInfo in DER (RFC 5280)."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 -- as above

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
