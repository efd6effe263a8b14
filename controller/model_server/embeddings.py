"""Embeddings for frameworks that make some of what they are told: vectors of the usual sizes without a meaning."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Any, Final

from controller.model_server.conversation import Json, as_object, as_objects, as_text

_OPENAI_SIZE: Final = 1536
_GEMINI_SIZE: Final = 3072
_LARGEST: Final = 8192


def openai_embeddings(body: Json) -> Json:
    """Return the answer of `POST /v1/embeddings`; the official client asks for base64."""
    given = body.get("input")
    texts = given if isinstance(given, list) and not all(isinstance(each, int) for each in given) else [given]
    size = min(int(body.get("dimensions") or _OPENAI_SIZE), _LARGEST)
    vectors = [_vector(as_text(text), size) for text in texts]
    in_base64 = body.get("encoding_format") == "base64"
    return {
        "object": "list",
        "model": str(body.get("model")),
        "data": [
            {"object": "embedding", "index": number, "embedding": _packed(vector) if in_base64 else vector}
            for number, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": len(texts), "total_tokens": len(texts)},
    }


def gemini_embedding(body: Json) -> Json:
    """Return the answer of `:embedContent`."""
    return {"embedding": _gemini(body)}


def gemini_embeddings(body: Json) -> Json:
    """Return the answer of `:batchEmbedContents`."""
    return {"embeddings": [_gemini(each) for each in as_objects(body.get("requests"), "requests")]}


def _gemini(body: Json) -> dict[str, Any]:
    content = as_object(body.get("content") or {}, "content")
    size = min(int(body.get("outputDimensionality") or _GEMINI_SIZE), _LARGEST)
    return {"values": _vector(as_text(content.get("parts")), size)}


def _vector(text: str, size: int) -> list[float]:
    """Return a unit vector that depends on the text alone."""
    seed = hashlib.sha256(text.encode()).digest()
    length = sum((byte - 127.5) ** 2 for byte in seed) ** 0.5 * (size / len(seed)) ** 0.5
    return [(seed[at % len(seed)] - 127.5) / length for at in range(size)]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
