"""A runtime's source of any size, the same at every run: what the rewriting of imports is measured on.

Every form in which a module may be imported comes up, between modules that all exist and names that they all have.
"""

import random
from pathlib import Path

MODULES_PER_AREA = 29
_SEED = 20240229
_BODY = '''
LIMIT_{number} = {value}
WORDS_{number} = ("import {other}", "from {other} import nothing", "{other}")


class Part{number}:
    """Holds a share of the work; `import {other}` in a docstring is text."""

    def __init__(self, limit: int = LIMIT_{number}) -> None:
        self.limit = limit
        self.seen: dict[str, int] = {{}}

    def note(self, word: str) -> int:
        self.seen[word] = self.seen.get(word, 0) + 1
        return self.limit - self.seen[word]

    def summary(self) -> list[str]:
        return [f"{{word}}: {{count}}" for word, count in sorted(self.seen.items()) if count > {value}]


def use_{number}(values: list[int]) -> int:
    total = 0
    for value in values:
        if value > LIMIT_{number}:
            total += value * {value}
        elif value:
            total -= 1
    return total


def later_{number}() -> object:
    {lazy}
    return {lazy_name}
'''


def write_tree(folder: Path, *, modules: int) -> None:
    """Write a source of this many modules, `__init__.py` files included.

    Args:
        folder: must not exist.
        modules: at least 2; the first is the main module with the console script's target.
    """
    chance = random.Random(_SEED)  # noqa: S311 - the same numbers at every run are the point
    places = _places(modules)
    for number, place in enumerate(places):
        file = folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_module(number, places, chance))


def _places(modules: int) -> list[str]:
    places = ["main.py"]
    for number in range(modules - 1):
        area, member = divmod(number, MODULES_PER_AREA)
        places.append(f"area_{area}/" + ("__init__.py" if member == 0 else f"part_{member}.py"))
    return places


def _module(number: int, places: list[str], chance: random.Random) -> str:
    lines = [
        f'"""Module {number} of the measured tree."""',
        "",
        "import json",
        "from collections.abc import Iterable",
        "",
    ]
    for _ in range(4):
        lines += _imported(chance.randrange(1, len(places)), places, chance)
    lazy = chance.randrange(1, len(places))
    body = _BODY.format(
        number=number,
        value=chance.randrange(100),
        other=_name(places[chance.randrange(1, len(places))]),
        lazy=f"from {_name(places[lazy])} import Part{lazy}",
        lazy_name=f"Part{lazy}",
    )
    script = "\n\ndef main_sync() -> None:\n    json.dumps({})\n" if number == 0 else ""
    return "\n".join(lines) + "\n" + body + script


def _imported(target: int, places: list[str], chance: random.Random) -> list[str]:
    name = _name(places[target])
    area, _, part = name.rpartition(".")
    forms = [
        [f"import {name}"],
        [f"import {name} as alias_{target}"],
        [f"from {name} import Part{target}, use_{target} as used_{target}"],
        [f"from {name} import (", f"    LIMIT_{target},", f"    WORDS_{target},  # a comment inside", ")"],
        ["try:", f"    import {name}", "except ImportError:", "    pass"],
        [f"import json, {name}  # two at once"],
    ]
    if area:
        forms.append([f"from {area} import {part}"])
    return chance.choice(forms)


def _name(place: str) -> str:
    return place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
