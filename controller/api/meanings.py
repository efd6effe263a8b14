"""What the words of a status mean, and what to do when one shows: the source of docs/status.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from controller.api.conditions import ConditionType, Reason


@dataclass(frozen=True, slots=True)
class Meaning:
    """When a word shows, and what to do then; nothing: it passes, or is as asked for."""

    when: str
    cure: str = "Nothing."


CONDITIONS: Final[Mapping[ConditionType, str]] = {
    ConditionType.READY: "The summary. True: all that is asked for is so, seen from inside.",
    ConditionType.PUBLISHED: "The index serves the wanted version with the recorded bytes.",
    ConditionType.IMAGES_BUILT: "Every template that must has an image with the wanted version that booted and answered.",
    ConditionType.ROLLED_OUT: "Every target reports the wanted version and content from inside.",
    ConditionType.RECONCILING: (
        "Work towards what is asked for is under way, or is tried again by itself. There only while it is True."
    ),
    ConditionType.STALLED: (
        "Nothing moves until somebody changes something. There only while it is True, and never beside Reconciling."
        " What cannot be read is read again every few seconds all the same, so that a repair needs no restart."
    ),
}

REASONS: Final[Mapping[Reason, Meaning]] = {
    Reason.UP_TO_DATE: Meaning("What runs is what is asked for."),
    Reason.BUILDING: Meaning("Wheel or images are being built."),
    Reason.PROVING: Meaning("Candidates are booted and asked at the gate."),
    Reason.PUBLISHING: Meaning("Tags or files are being published."),
    Reason.INDEX_NOT_VISIBLE: Meaning(
        "Files were uploaded, and the index does not show them yet.",
        "Nothing, until `visibleDeadlineSeconds` are over; then look at the index.",
    ),
    Reason.PUBLISHED_ELSEWHERE: Meaning(
        "`package.publish` is External, and the index does not serve the version yet.",
        "Nothing, or have whoever publishes it do so.",
    ),
    Reason.ROLLING: Meaning("Targets are being replaced."),
    Reason.PROMOTING: Meaning("The fleet has proven the version; moving tags and the verdict follow."),
    Reason.ROLLING_BACK: Meaning("A version failed, and targets return to the last good one."),
    Reason.SOAKING: Meaning(
        "All of a wave have proven the version, and the next wave begins when its `soakSeconds` are over."
    ),
    Reason.OUTSIDE_WINDOW: Meaning(
        "Targets are to be replaced, and none of `rollout.windows` is open; what was begun is finished.",
        "Nothing: it goes on when the next one opens, as the message says. To begin now: annotation `runtime.molecule.ai/override`.",
    ),
    Reason.AWAITING_APPROVAL: Meaning(
        "`rollout.approval` is Required, and nobody has approved what would be published or rolled out next.",
        "Look at it with `wsr plan` or `wsr status`; then `wsr approve`.",
    ),
    Reason.DRAINING: Meaning("All targets that are left have work in progress, which is waited for."),
    Reason.PENDING: Meaning("An earlier stage is not through, or what it needs was not looked at."),
    Reason.AWAITING_DELIVERY: Meaning(
        "Somebody else builds a template's image, and it has not come.",
        "Look at their workflow when it takes long.",
    ),
    Reason.DISPATCH_REFUSED: Meaning(
        "GitHub does not take the event that tells a repository of the version.",
        "Give the token the rights that the message names, or correct `build.dispatch.repository`.",
    ),
    Reason.DISPATCH_SILENT: Meaning(
        "A repository was told of the version and delivered no image in time.",
        "Look at its workflow runs; `wsr resume` tells it once more. An image that comes late is still taken.",
    ),
    Reason.IMAGE_GONE: Meaning(
        "An image that somebody else delivered was deleted from the registry.",
        "Push it again, or another one of the version.",
    ),
    Reason.UNTESTED: Meaning(
        "Somebody else builds the image, and there is none yet to try the version on.",
        "Push a first one, or set the template's `gate` to AllowUntested.",
    ),
    Reason.TEMPLATES_HELD_BACK: Meaning(
        "A template failed, and its `gate` lets the version go on without it.",
        "Correct the template, or try it again as it is with `wsr resume`.",
    ),
    Reason.SERVED: Meaning("The version is public."),
    Reason.PROVEN: Meaning("Every template that must has passed the gate."),
    Reason.NO_TARGETS: Meaning("There is nothing to replace."),
    Reason.UNKNOWN: Meaning(
        "A source does not answer; nothing is concluded from that.",
        "Nothing; look at the source when it lasts.",
    ),
    Reason.TARGETS_UNKNOWN: Meaning(
        "Targets run the image and have not reported the version from inside.",
        "Look at the log of those that the message names.",
    ),
    Reason.SUSPENDED: Meaning("The owner stopped all work.", "Set `spec.suspend` to false to go on."),
    Reason.HELD: Meaning(
        "The owner holds the object.", "`wsr resume`, or remove its annotation `runtime.molecule.ai/hold`."
    ),
    Reason.PAUSED: Meaning(
        "A target failed, and `rollout.onFailure` is Pause.",
        "Correct what failed, then `wsr resume`; or edit the version.",
    ),
    Reason.TARGETS_HELD: Meaning(
        "Targets are held or pinned, and left alone.", "Remove hold or pin to have them follow."
    ),
    Reason.SHAPE_UNSAFE: Meaning(
        "A target cannot be replaced without loss: the message says what it has that a successor could not get.",
        "Change the container as the message says, or recreate it yourself.",
    ),
    Reason.CONTAINER_NOT_FOUND: Meaning(
        "A workload has no container of the name that `targets.workloads[].container` says.",
        "Correct the name.",
    ),
    Reason.IMAGE_CONTESTED: Meaning(
        "Somebody else writes the image of a workload again and again, and is not fought.",
        "Have the field manager that the message names leave the image alone, or take the workload out of the targets.",
    ),
    Reason.TARGET_OWNED: Meaning(
        "Another object owns a workload that this one selects; it is left alone.",
        "Let one of the two select it.",
    ),
    Reason.NAMESPACE_NOT_ALLOWED: Meaning(
        "A namespace does not let objects of this one's namespace roll its workloads.",
        "Have its owner label it as the message says, or take it out of `targets.workloads[].namespaces`.",
    ),
    Reason.BUILD_FAILED: Meaning(
        "A template's build failed.",
        "Correct the template; the message names the log. Its next content is tried by itself.",
    ),
    Reason.BUILD_FORBIDDEN: Meaning(
        "A template has to be built in full, and nothing here may: the namespace (Pod Security `restricted`) or the node lets no"
        " user namespace be made, or the chart's `fullBuilds` is off.",
        "Switch `fullBuilds` on and keep the object in a namespace at level `baseline`, build it once where there is a Docker Engine, with the same"
        " `registry.artifacts`, or use `build.strategy: Dispatch`.",
    ),
    Reason.BUILDER_IMAGE_UNUSABLE: Meaning(
        "No builder run can start: the nodes cannot get the builder's image.",
        "Name an image that they can pull in the chart's `builderImage` (`fullBuilds.image` for full builds), and give ServiceAccount `default` of the object's namespace the Secrets to pull it with.",
    ),
    Reason.REGISTRY_REFUSED: Meaning(
        "The registry does not do what it understood, or answers what no registry does.",
        "Check its address (`registry.insecure`, `caSecretName`) and its log.",
    ),
    Reason.GATE_FAILED: Meaning(
        "A candidate did not boot or answer as it must; the version is held before it is public.",
        "See docs/gate.md; correct the template or the runtime and take another version, or `wsr resume`.",
    ),
    Reason.GATE_MISCONFIGURED: Meaning(
        "A candidate refuses how it was booted: nothing is said against the version.",
        "Correct `templates[].probe`.",
    ),
    Reason.GATE_UNREACHABLE: Meaning(
        "The stand-in model cannot be where candidates would reach it.",
        "Run `wsr` on the engine's own machine, or in a container with the host's network; in a cluster, let the operator "
        "reach pods, and pods pull the operator's image.",
    ),
    Reason.ROLLOUT_FAILED: Meaning(
        "A target did not prove itself after its replacement, and has its old container back.",
        "Look at the log that the message quotes; then another version, or `wsr resume`.",
    ),
    Reason.ROLLED_BACK: Meaning(
        "The owner went back from this version; nothing brings it back by itself, on any machine or cluster.",
        "Another version, or `wsr resume` for this one.",
    ),
    Reason.CREDENTIALS_MISSING: Meaning(
        "Credentials for index, registry or GitHub are missing, wrong or not enough.",
        "Name a Secret where the message says, or correct its files; they are read again by themselves.",
    ),
    Reason.VERSION_REFUSED: Meaning(
        "A final version must be higher than the newest final one that the index serves.",
        "Ask for a higher version; or yank the other one if it was a mistake.",
    ),
    Reason.PUBLISH_REFUSED: Meaning("The version can be on no index.", "Choose a version without `+`."),
    Reason.PUBLISHER_CONFLICT: Meaning(
        "Another object owns the package or a moving tag.",
        "Leave it to that object; or, when it is no more, take over with annotation `runtime.molecule.ai/take-over`.",
    ),
    Reason.TAG_TAKEN: Meaning(
        "An immutable tag names another image; it is never overwritten.",
        "Find out who pushed it, and delete that tag.",
    ),
    Reason.TAG_MOVED: Meaning("Somebody else moved a moving tag after us.", "`wsr resume` takes it back."),
    Reason.NEWER_RELEASED: Meaning(
        "A newer release from elsewhere holds a moving tag.",
        "Ask for that version; or `wsr resume` takes the tag back.",
    ),
    Reason.SOURCE_REFUSED: Meaning(
        "The source cannot be read, or cannot become a package.",
        "Correct the place that the message names.",
    ),
    Reason.SOURCE_NOT_FOUND: Meaning(
        "A repository has no branch, tag or commit of the name that `git.ref` says, or there is no such repository.",
        "Push it: it is waited for, and looked for again by itself; or correct what the message names.",
    ),
    Reason.ADOPT_REFUSED: Meaning(
        "The index serves the version, and it cannot be taken over from there.",
        "Do as the message says, or choose another version.",
    ),
    Reason.SECRET_NOT_FOUND: Meaning(
        "A Secret is not there.", "Do as the message says: it names the file, or the command of kubectl."
    ),
    Reason.SECRET_INCOMPLETE: Meaning(
        "A Secret lacks a key, or holds what cannot be used.",
        "Do as the message says: it names the file, or the command of kubectl.",
    ),
    Reason.SECRET_EXPOSED: Meaning(
        "A Secret's file is accessible to others.", "Run the chmod of the message."
    ),
    Reason.SECRET_NOT_ALLOWED: Meaning(
        "A Secret of the cluster is not labelled for what the object names it for, or must not be sent to a host that it"
        " would be sent to.",
        "If its owner agrees, run the command of the message.",
    ),
    Reason.SIGNING_KEY_INVALID: Meaning(
        "A key of `package.signing` is no Ed25519 key in PEM.", "Make one as the message says."
    ),
    Reason.INDEX_REFUSED: Meaning(
        "The index does not do what it was asked, or the address is none of an index.",
        "Check `package.index.simpleURL`, `uploadURL` and `caSecretName`.",
    ),
    Reason.INDEX_CORRUPT: Meaning(
        "A file on the index has other bytes than the index itself says.", "Find out who changed it."
    ),
    Reason.INDEX_UNVERIFIABLE: Meaning(
        "The index names no SHA-256 for a file, so that its bytes cannot be checked.",
        "Use an index that does.",
    ),
    Reason.RECORD_CORRUPT: Meaning(
        "A release record cannot be read.", "Restore it, or delete it if the version may be judged anew."
    ),
    Reason.ARTIFACT_CORRUPT: Meaning(
        "A recorded file has other bytes than its record says; it is not used.",
        "Restore it; if the version was not published, delete its record to build it anew.",
    ),
    Reason.ENGINE_MISSING: Meaning(
        "Something can be done in a Docker Engine only, and there is none.",
        "In a cluster, use `registry.mode: Remote` and `targets.workloads`.",
    ),
    Reason.ENGINE_REFUSED: Meaning("The Docker Engine refuses a request.", "Change what the message names."),
    Reason.PULL_DENIED: Meaning(
        "The engine may not pull an image.", "Give `registry.pullSecretName` the right to."
    ),
    Reason.NAME_TAKEN: Meaning(
        "A container that is not part of a replacement has the name that it needs, or somebody else's ConfigMap that of an object's images.",
        "Remove or rename it.",
    ),
    Reason.OLD_CONTAINER_GONE: Meaning(
        "Somebody removed the old container before its successor was proven.",
        "Look at the log of the container that runs now; nothing can be brought back.",
    ),
    Reason.CLUSTER_UNKNOWN: Meaning(
        "There is no cluster to be reached for `targets.workloads`.",
        "Set KUBECONFIG, or correct what it names.",
    ),
    Reason.CLUSTER_UNAUTHORIZED: Meaning(
        "The cluster does not know who asks.", "Renew the credentials of the kubeconfig."
    ),
    Reason.CLUSTER_FORBIDDEN: Meaning(
        "The cluster refuses a right.", "Give the account the right that the message names."
    ),
    Reason.CLUSTER_REFUSED: Meaning("The API server refuses a request.", "Change what the message names."),
    Reason.ADMISSION_DENIED: Meaning(
        "A policy of the cluster refuses a change of a workload.", "Change what the policy's message names."
    ),
    Reason.QUOTA_EXCEEDED: Meaning("The quota of a namespace is used up.", "Raise it, or free some of it."),
    Reason.EXEC_FORBIDDEN: Meaning(
        "A workspace can only be asked by exec, and that is switched off.",
        "Allow exec, or run a version that answers over HTTP.",
    ),
    Reason.WORKSPACE_URL_INVALID: Meaning(
        "WSR_WORKSPACE_URL is no address with the known parts.", "Correct it."
    ),
    Reason.STANDALONE_ONLY: Meaning(
        "The object asks in a cluster for what there is on one machine alone, such as a folder of it.",
        "Write what the message names, or run the document with `wsr run` there.",
    ),
    Reason.INVALID: Meaning(
        "The document or the environment is not valid.", "Correct the line that the message names."
    ),
}


TEMPLATE_STATES: Final[Mapping[str, str]] = {
    "Missing": "There is no image with the wanted version.",
    "Unproven": "There is one, and it has not passed the gate.",
    "Proven": "It booted and answered.",
    "UpdateAvailable": "Proven, and a change that `rebuildOn` does not name would make another image.",
    "HeldBack": "It failed and may: the version goes on without it.",
    "Untested": "Somebody else builds it, and there is no image to try the version on.",
    "Awaited": "Somebody else builds it, and their image has not come.",
}

CHANGES: Final[Mapping[str, str]] = {
    "WheelChanged": "The image has another wheel than the wanted one.",
    "TemplateSourceChanged": "Files of the template's folder changed.",
    "DockerfileChanged": "The template's Dockerfile or build arguments changed.",
    "BaseImageMoved": "An image that the Dockerfile starts from has moved.",
    "RequirementsChanged": "The wheel needs what the full build lacks.",
    "LabelsMissing": "The image does not say in its labels what the record says.",
    "ImageMissing": "The recorded image is gone.",
    "Requested": "Annotation `runtime.molecule.ai/rebuild` asks for a new one.",
}
"""Why an image is built: `status.templates[].reason`, `wsr plan`, `wsr why`."""
