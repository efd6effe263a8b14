"""Read SKILL.md folders, so that the agent card says what this workspace can do."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SKILL_FILE = "SKILL.md"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Skill:
    """One skill: its folder's name, and what the front matter of its SKILL.md says."""

    id: str
    name: str
    description: str
    tags: tuple[str, ...]
    examples: tuple[str, ...]


def load_skills(names: Iterable[str], folder: Path) -> tuple[Skill, ...]:
    """Read `folder`/NAME/SKILL.md for every name, in order.

    A skill that cannot be read is left out and named in the log: a workspace with one skill less is of more
    use than none.
    """
    skills = []
    for name in names:
        path = folder / name / SKILL_FILE
        try:
            skills.append(parse_skill(name, path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            logger.warning("Leaving out skill %r: %s cannot be used: %s", name, path, error)
    return tuple(skills)


def parse_skill(skill_id: str, text: str) -> Skill:
    """Read the front matter between two lines `---`; without one the skill has only its id.

    Raises:
        ValueError: the front matter is not a YAML mapping, or a field has another form than a card can show.
    """
    front = _front_matter(text)
    return Skill(
        id=skill_id,
        name=_text(front, "name") or skill_id,
        description=_text(front, "description") or skill_id,
        tags=_texts(front, "tags"),
        examples=_texts(front, "examples"),
    )


def _front_matter(text: str) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - a workspace without skills does not pay for the parser

    lines = text.splitlines()
    if not lines or lines[0].strip() != "---":
        return {}
    end = next((number for number, line in enumerate(lines[1:], 1) if line.strip() == "---"), None)
    if end is None:
        raise ValueError("its front matter has no closing line ---")
    try:
        front = yaml.safe_load("\n".join(lines[1:end]))
    except yaml.YAMLError as error:
        raise ValueError(f"its front matter is not YAML: {' '.join(str(error).split())}") from error
    if front is None:
        return {}
    if not isinstance(front, dict):
        raise ValueError("its front matter is not a mapping")  # noqa: TRY004 - a fault of the file, not of the caller
    return front


def _text(front: dict[str, Any], key: str) -> str | None:
    value = front.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{key} is not a text")
    return value


def _texts(front: dict[str, Any], key: str) -> tuple[str, ...]:
    value = front.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{key} is not a list of texts")
    return tuple(value)
