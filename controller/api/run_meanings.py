"""What the words of builder runs mean, where a status repeats them: one of the sources of docs/status.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controller.api.meanings import Meaning

RUN_REASONS: Final[Mapping[str, Meaning]] = {
    "ArtifactRefused": Meaning(
        "What was sent between here and a Job holds what does not belong there.",
        "See who else writes to `registry.artifacts`.",
    ),
    "BackendMissing": Meaning(
        "The build backend is not installed here.", "Install the dependency group `builder`."
    ),
    "BackendRefused": Meaning("The build backend failed.", "Correct what its last words name."),
    "BadDistribution": Meaning(
        "There is not exactly one wheel and its sdist to publish.", "Run it again; or report a bug."
    ),
    "BadRequirements": Meaning(
        "`requirements.txt` has lines that cannot become metadata.", "Correct these lines."
    ),
    "BadVersion": Meaning("The version is none of PEP 440.", "Write it as the message says."),
    "CertificateRejected": Meaning(
        "The index's certificate is not trusted.", "Name `package.index.caSecretName`."
    ),
    "CredentialsMissing": Meaning(
        "The Secret for uploads lacks its keys.", "Write token, or username and password."
    ),
    "CredentialsRejected": Meaning(
        "The index refuses the upload's credentials.", "Correct the Secret's files."
    ),
    "EngineStoreUnsupported": Meaning(
        "The engine keeps images in a way that layers cannot be appended to.",
        "Do as the message says, or use Remote mode.",
    ),
    "ForeignOutput": Meaning(
        "The folder for the build tree holds what is not ours.", "Remove it, or choose another folder."
    ),
    "IndexRefused": Meaning("The index does not do what it was asked.", "Check its addresses."),
    "ImageMissing": Meaning(
        "An image that a tag is to stand for is gone.",
        "Nothing: it is built again; see who deletes images when it repeats.",
    ),
    "InputRefused": Meaning(
        "A folder that a Job is given holds what cannot be sent.", "Do as the message says."
    ),
    "LocalVersion": Meaning("A local version is on no index.", "Choose a version without `+`."),
    "NameClash": Meaning("A module of the source has the name of one that is needed.", "Rename the module."),
    "NameNotImportable": Meaning("A file of the source has a name that no import can say.", "Rename it."),
    "NotReadable": Meaning("Files of the source cannot be read.", "Make them readable."),
    "NotWritable": Meaning("A folder cannot be written.", "Make room or give the right to."),
    "OtherBytes": Meaning(
        "The index serves the version with other bytes.", "Take another version: one is published once."
    ),
    "ProofFailed": Meaning(
        "What was built does not do what the source says.", "Correct the lines that the message names."
    ),
    "PythonMissing": Meaning(
        "The oldest Python that is promised is not here to prove it with.", "Install it."
    ),
    "RegistryRefused": Meaning(
        "The registry of artifacts does not take or give what belongs to a Job.",
        "Check `registry.artifacts` and its log.",
    ),
    "SourceMissing": Meaning("There is no source folder.", "Correct `spec.source`."),
    "SourceRefused": Meaning(
        "The source cannot become a package.", "Correct the lines that the message names."
    ),
    "TagsRefused": Meaning("Tags cannot be set.", "Check the registry's log and the push Secret."),
    "UploadRedirected": Meaning(
        "The upload address leads elsewhere.", "Name the final one in `package.index.uploadURL`."
    ),
    "UploadRefused": Meaning(
        "The index refuses the upload.", "Check `package.index.uploadURL` and what the index says."
    ),
    "WheelChanged": Meaning(
        "A recorded wheel has other bytes than its record says.", "Restore it from a backup."
    ),
    "WheelUnreadable": Meaning("A wheel cannot be read.", "Restore it, or build another version."),
}
"""What a builder run says that it was given and cannot use, where the status repeats it."""
