"""The CustomResourceDefinition of a WorkspaceRuntime, derived from the models, so that a cluster refuses what we refuse.

A structural schema (apiextensions/v1) says less than the models do: what only code can check is listed in
`crd_rules.UNCHECKED`, and is refused by the operator, with the same text, instead of by the API server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from controller.api.crd_rules import LISTS, RULES, UNDEFAULTED, Keyed
from controller.api.names import GROUP, KIND, VERSION
from controller.api.status import Status
from controller.api.v1alpha1 import WorkspaceRuntime

PLURAL: Final = "workspaceruntimes"

_KEPT: Final = (
    "type",
    "format",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
)
"""What a structural schema has in common with JSON schema and means the same in both."""
_READY: Final = '.status.conditions[?(@.type=="Ready")]'
_COLUMNS: Final = (
    ("Version", "string", ".spec.version", 0, "The version that was asked for."),
    ("Ready", "string", f"{_READY}.status", 0, "Whether everything that was asked for is true."),
    ("Status", "string", f"{_READY}.message", 0, "What is true, or what keeps it from being so."),
    (
        "Up-to-date",
        "string",
        ".status.rollout.progress",
        0,
        "Targets that have proven it, of all that count.",
    ),
    ("Age", "date", ".metadata.creationTimestamp", 0, "When the object was made."),
    ("Wave", "string", ".status.rollout.wave", 1, "Which targets go now."),
    ("Wheel", "string", ".status.package.wheelSha256", 1, "The SHA-256 of the wheel of the version."),
)


def definition() -> Mapping[str, Any]:
    """Return the CustomResourceDefinition as an object of Kubernetes.

    Raises:
        LookupError: a field has no description, a list no list type, or an entry of `crd_rules` no field.
    """
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["wsr"],
                "categories": ["molecule"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {
                            "name": name,
                            "type": type_,
                            "jsonPath": path,
                            "priority": priority,
                            "description": meaning,
                        }
                        for name, type_, path, priority, meaning in _COLUMNS
                    ],
                    "schema": {"openAPIV3Schema": schema()},
                }
            ],
        },
    }


def schema() -> Mapping[str, Any]:
    """Return the structural schema of the object, status included. Raises as `definition`."""
    asked = WorkspaceRuntime.model_json_schema(by_alias=True)
    told = Status.model_json_schema(by_alias=True, mode="serialization")
    spec, status = _Translation(asked), _Translation(told, told=True)
    root = {
        "type": "object",
        "description": _text(asked["description"]),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"Always {GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"Always {KIND}."},
            "metadata": {"type": "object"},
            "spec": spec.field(asked["properties"]["spec"], "spec"),
            "status": status.field(told, "status"),
        },
        **({"x-kubernetes-validations": [dict(rule) for rule in RULES[""]]} if "" in RULES else {}),
    }
    unused = ({*LISTS, *RULES, *UNDEFAULTED} - {""}) - spec.seen - status.seen
    if unused:
        raise LookupError(f"crd_rules names fields that no model has: {', '.join(sorted(unused))}")
    return root


class _Translation:
    """From the JSON schema of a model to a structural one; `told` is what we write, and nobody else types."""

    def __init__(self, document: Mapping[str, Any], *, told: bool = False) -> None:
        self._definitions = document.get("$defs", {})
        self._told = told
        self.seen: set[str] = set()

    def field(self, given: Mapping[str, Any], path: str) -> dict[str, Any]:
        """Return the schema of the field at `path`, as in ``spec.templates[].tags``, with all that is in it."""
        self.seen.add(path)
        node = self._plain(given)
        made: dict[str, Any] = {}
        described = node if "description" in node else self._plain(node.get("items", {}))
        if "description" in described:
            made["description"] = _text(described["description"])
        elif not path.endswith("]"):
            raise LookupError(f"{path} has no description; its docstring is what `kubectl explain` shows")
        made |= {key: node[key] for key in _KEPT if key in node}
        if "const" in node:
            made["enum"] = [node["const"]]
        if node.get("x-int-or-string"):
            made["x-kubernetes-int-or-string"] = True
        if node.get("type") == "array":
            made |= self._list(node, path)
        elif "properties" in node:
            made |= self._object(node, path)
        elif isinstance(node.get("additionalProperties"), Mapping):
            made["additionalProperties"] = self.field(node["additionalProperties"], f"{path}[]")
        if path in RULES:
            made["x-kubernetes-validations"] = [dict(rule) for rule in RULES[path]]
        default = _default(node, made)
        if default is not None and path not in UNDEFAULTED and not self._told:
            made["default"] = default
        return made

    def _object(self, node: Mapping[str, Any], path: str) -> dict[str, Any]:
        required = [
            name
            for name, each in node["properties"].items()
            if name in node.get("required", ()) and "default" not in each and not each.get("readOnly")
        ]
        inner = {name: self.field(each, f"{path}.{name}") for name, each in node["properties"].items()}
        return {"properties": inner, **({"required": required} if required else {})}

    def _list(self, node: Mapping[str, Any], path: str) -> dict[str, Any]:
        kind = LISTS.get(path)
        if kind is None:
            raise LookupError(
                f"{path} has no list type; say in crd_rules.LISTS how two writers of it are merged"
            )
        items = self.field(node["items"], f"{path}[]")
        if isinstance(kind, Keyed):
            keys = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [kind.key]}
            return {"items": items, **keys}
        return {"items": items, "x-kubernetes-list-type": kind}

    def _plain(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return `given` without references, without null as a value, and with what is a number or a string as Kubernetes says it."""
        node = dict(given)
        if "$ref" in node:
            node = {**self._definitions[node.pop("$ref").rsplit("/", 1)[1]], **node}
        if "anyOf" not in node:
            return node
        choices = [each for each in node.pop("anyOf") if each.get("type") != "null"]
        if len(choices) == 1:
            return self._plain({**choices[0], **node})
        kinds = {each.get("type") for each in choices}
        if not kinds <= {"integer", "number", "string"}:
            raise LookupError(f"a structural schema has no word for a choice of {sorted(map(str, kinds))}")
        return {**node, "x-int-or-string": True}


def _default(node: Mapping[str, Any], made: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- whatever JSON holds
    """Return the default to write, None for none: an empty text or list says no more than an absent one."""
    default = node.get("default")
    if isinstance(default, Mapping) and "properties" in made:
        return _minimal(default, made["properties"])
    return default if default or isinstance(default, bool | int) else None


def _minimal(default: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an object's default says beyond the defaults of its own fields."""
    kept: dict[str, Any] = {}
    for name, value in default.items():
        inner = properties[name]
        if isinstance(value, Mapping) and "properties" in inner:
            value = _minimal(value, inner["properties"])  # noqa: PLW2901 -- the same value, said more shortly
        if value not in (None, "", [], {}) and value != inner.get("default"):
            kept[name] = value
    return kept


def _text(description: str) -> str:
    return " ".join(description.split())
