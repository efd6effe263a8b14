"""A DSSE v1 envelope: something signed, with its signatures, as the field's own tools read it. Pure."""

from __future__ import annotations

import base64
import binascii

from controller.model.record_part import RecordPart


class Signature(RecordPart):
    """One signature of an envelope: the key's id, and the signature's bytes in Base64."""

    keyid: str
    sig: str


class Envelope(RecordPart):
    """A DSSE envelope; `payload` is Base64."""

    payload_type: str
    payload: str
    signatures: tuple[Signature, ...]


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that a DSSE signature is over (its pre-authentication encoding)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def decoded(text: str) -> bytes:
    """Return Base64 as bytes; nothing for what is none, which no signature fits."""
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""
