"""What `verify` finds in a wheel, in the three forms that it is told in: text, JSON, SARIF 2.1.0."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from builder.problems import Complaint
from builder.rules import RULES, Level, Rule

FORMATS: Final = ("text", "json", "sarif")
_SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One rule that does not hold, and where: `path` is POSIX and inside the wheel, or the wheel's own name.

    `line` counts from 1, 0 when the file as a whole is meant. An empty `cure` stands for the rule's own.
    """

    path: str
    line: int
    rule: str
    message: str
    cure: str = ""

    @classmethod
    def of(cls, complaint: Complaint, module: str, rule: str) -> Finding:
        """Return a complaint about a file of the package as a finding about the wheel, by `rule` if it names none."""
        return cls(f"{module}/{complaint.path}", complaint.line, complaint.rule or rule, complaint.message)

    @property
    def level(self) -> Level:
        """Tell what it means."""
        return RULES[self.rule].level

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return self.cure or RULES[self.rule].cure

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        note = "note: " if self.level is Level.NOTE else ""
        return f"{place}: {note}{self.message} [{self.rule}]"


def errors(findings: Iterable[Finding]) -> list[Finding]:
    """Return those that stop a wheel."""
    return [finding for finding in findings if finding.level is Level.ERROR]


def rendered(findings: Sequence[Finding], form: str, facts: Mapping[str, Any]) -> str:
    """Return the findings as text for people, as JSON with the facts of the run, or as SARIF; see `FORMATS`."""
    if form == "json":
        return json.dumps({**facts, "findings": [_plain(finding) for finding in findings]}, indent=2) + "\n"
    if form == "sarif":
        return json.dumps(_sarif(findings), indent=2) + "\n"
    stopping = len(errors(findings))
    summary = (
        f"{facts['wheel']}: {_counted(stopping, 'error')}, {_counted(len(findings) - stopping, 'note')}."
    )
    return "".join(f"{line}\n" for line in [*text_lines(findings), summary])


def text_lines(findings: Iterable[Finding]) -> list[str]:
    """Return two lines per finding: where and what, and the cure."""
    return [line for finding in findings for line in (str(finding), f"    {finding.remedy}")]


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        "path": finding.path,
        "line": finding.line,
        "rule": finding.rule,
        "level": finding.level,
        "message": finding.message,
        "cure": finding.remedy,
    }


def _sarif(findings: Sequence[Finding]) -> dict[str, Any]:
    driver = {
        "name": "wsr verify",
        "rules": [_sarif_rule(rule) for rule in RULES.values()],
    }
    run = {"tool": {"driver": driver}, "results": [_sarif_result(finding) for finding in findings]}
    return {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _sarif_rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.what},
        "fullDescription": {"text": rule.what},
        "help": {"text": rule.cure},
        "defaultConfiguration": {"level": rule.level},
    }


def _sarif_result(finding: Finding) -> dict[str, Any]:
    # Code scanning shows only results that have a line, and tells them apart over runs by this fingerprint: the line
    # is not part of it, since it moves with every edit above.
    identity = f"{finding.rule}\n{finding.path}\n{finding.message}"
    return {
        "ruleId": finding.rule,
        "ruleIndex": list(RULES).index(finding.rule),
        "level": finding.level,
        "message": {"text": f"{finding.message} {finding.remedy}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(finding.path)},
                    "region": {"startLine": max(finding.line, 1)},
                }
            }
        ],
        "partialFingerprints": {"finding/v1": hashlib.sha256(identity.encode()).hexdigest()},
    }
