"""What a signature of a release record says: how the version came to be, never what became of it afterwards. Pure.

An in-toto Statement v1 with SLSA provenance v1 in a DSSE envelope (`envelope`), so that the field's own tools read it. Verdict,
images, publication and promotion change while a version lives; they are not under the signature.
"""

from __future__ import annotations

import json
from typing import Any, Final

from controller.model.record import ReleaseRecord

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
_STATEMENT: Final = "https://in-toto.io/Statement/v1"
_PREDICATE: Final = "https://slsa.dev/provenance/v1"
_OURS: Final = "https://runtime.molecule.ai"


def facts_of(record: ReleaseRecord) -> dict[str, Any]:
    """Return the part of a record that never changes, by the names that people read."""
    facts = {
        "package": record.package,
        "version": record.version,
        "publisher": record.publisher,
        "sourceCommit": record.source_commit,
        "treeSha256": record.tree_sha256,
        "inputsSha256": record.inputs_sha256,
        "builderVersion": record.builder_version,
        "wheelSha256": record.wheel.sha256,
        "sdistSha256": record.sdist.sha256 if record.sdist else None,
        "contentSha256": record.content_sha256,
        "requires": list(record.requires),
    }
    return {name: value for name, value in facts.items() if value is not None}


def payload_of(record: ReleaseRecord) -> bytes:
    """Return what is signed for `record`."""
    facts = facts_of(record)
    built = record.tree_sha256 is not None
    source = {"sha256": record.tree_sha256, "gitCommit": record.source_commit}
    digest = {name: value for name, value in source.items() if value is not None}
    statement = {
        "_type": _STATEMENT,
        "subject": [
            {"name": file.file, "digest": {"sha256": file.sha256}}
            for file in (record.wheel, record.sdist)
            if file is not None
        ],
        "predicateType": _PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": f"{_OURS}/package/v1" if built else f"{_OURS}/adoption/v1",
                "externalParameters": {"package": record.package, "version": record.version},
                "internalParameters": facts,
                "resolvedDependencies": [{"name": "source", "digest": digest}] if digest else [],
            },
            "runDetails": {
                "builder": {
                    "id": f"{_OURS}/builder",
                    "version": {"builder": record.builder_version or "none"},
                }
            },
        },
    }
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()


def differences(record: ReleaseRecord, payload: bytes) -> list[str]:
    """Return how the record differs from what was signed for it, one line each; nothing when it is the same."""
    try:
        statement = json.loads(payload)
        signed = dict(statement["predicate"]["buildDefinition"]["internalParameters"])
        kinds = (statement["_type"], statement["predicateType"])
    except (ValueError, LookupError, TypeError):
        return ["what was signed is no provenance of a release"]
    if kinds != (_STATEMENT, _PREDICATE):
        return ["what was signed is no provenance of a release"]
    recorded = facts_of(record)
    return [
        f"{name} is {_shown(recorded.get(name))}, and {_shown(signed.get(name))} was signed"
        for name in sorted({*recorded, *signed})
        if recorded.get(name) != signed.get(name)
    ]


def _shown(value: Any) -> str:  # noqa: ANN401 -- any JSON value
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    return "nothing" if value is None else str(value)
