"""The three forms of findings hold for their readers: people, programs, and code scanning."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from builder.findings import Finding, rendered
from builder.rules import RULES, Level

ROOT = Path(__file__).parents[3]
FACTS = {"wheel": "w.whl", "version": "1.0", "verified": False}
FINDINGS = [
    Finding("m/a b.py", 3, "UndeclaredImport", "'x' is imported."),
    Finding("m/c.py", 0, "OptionalImport", "'y' is imported.", "Leave it."),
]


def sarif() -> dict[str, Any]:
    log: dict[str, Any] = json.loads(rendered(FINDINGS, "sarif", FACTS))
    return log


def test_text_has_place_message_rule_and_cure() -> None:
    assert rendered(FINDINGS, "text", FACTS) == (
        "m/a b.py:3: 'x' is imported. [UndeclaredImport]\n"
        "    Add the distribution to requirements.txt, or guard the import with `except ImportError`.\n"
        "m/c.py: note: 'y' is imported. [OptionalImport]\n"
        "    Leave it.\n"
        "w.whl: 1 error, 1 note.\n"
    )
    assert rendered([], "text", FACTS) == "w.whl: no errors, no notes.\n"


def test_json_has_the_facts_and_every_finding() -> None:
    assert json.loads(rendered(FINDINGS[1:], "json", FACTS)) == {
        **FACTS,
        "findings": [
            {
                "path": "m/c.py",
                "line": 0,
                "rule": "OptionalImport",
                "level": "note",
                "message": "'y' is imported.",
                "cure": "Leave it.",
            }
        ],
    }


def test_sarif_is_a_log_of_version_2_1_0_with_every_rule() -> None:
    log = sarif()
    assert set(log) == {"$schema", "version", "runs"}
    assert log["version"] == "2.1.0"
    assert re.fullmatch(r"https://\S+sarif\S*2\.1\.0\S*\.json", log["$schema"])
    [run] = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "wsr verify"
    assert [rule["id"] for rule in driver["rules"]] == list(RULES)
    for rule in driver["rules"]:
        assert rule["defaultConfiguration"]["level"] in {"none", "note", "warning", "error"}
        for text in ("shortDescription", "fullDescription", "help"):
            assert 0 < len(rule[text]["text"]) <= 1024


def test_each_result_of_sarif_has_what_code_scanning_asks_for() -> None:
    log = sarif()
    [run] = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len(run["results"]) == len(FINDINGS)
    for result, finding in zip(run["results"], FINDINGS, strict=True):
        assert result["ruleId"] == finding.rule == rules[result["ruleIndex"]]["id"]
        assert result["level"] == finding.level
        assert result["message"]["text"] == f"{finding.message} {finding.remedy}"
        [location] = result["locations"]
        place = location["physicalLocation"]
        assert re.fullmatch(r"[A-Za-z0-9._~%/+-]+", place["artifactLocation"]["uri"])  # RFC 3986, relative
        assert place["region"]["startLine"] >= 1
        assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in result["partialFingerprints"].values())
    assert run["results"][0]["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "m/a%20b.py"},
        "region": {"startLine": 3},
    }


def test_a_fingerprint_stays_when_lines_move_and_tells_findings_apart() -> None:
    moved = [Finding("m/a b.py", 30, "UndeclaredImport", "'x' is imported."), *FINDINGS]
    results = json.loads(rendered(moved, "sarif", FACTS))["runs"][0]["results"]
    first, second, third = (result["partialFingerprints"] for result in results)
    assert first == second != third


def test_every_rule_has_a_level_a_claim_and_a_cure() -> None:
    assert {rule.level for rule in RULES.values()} == {Level.ERROR, Level.NOTE}
    for name, rule in RULES.items():
        assert re.fullmatch(r"([A-Z][a-z]+)+", name)
        assert rule.what.endswith(".")
        assert rule.cure.endswith(".")


def test_every_rule_is_used_and_every_used_one_is_a_rule() -> None:
    code = "".join(path.read_text() for path in (ROOT / "builder").rglob("*.py") if path.name != "rules.py")
    assert [name for name in RULES if f'"{name}"' not in code] == []
    with pytest.raises(KeyError):
        _ = Finding("a", 0, "NoSuchRule", "x").level


def test_every_rule_stands_in_the_documentation() -> None:
    text = (ROOT / "docs" / "verify.md").read_text()
    assert re.findall(r"^\| `(\w+)`", text, flags=re.MULTILINE) == list(RULES)
