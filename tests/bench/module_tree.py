"""A runtime's source of any size, the same at every run: what the rewriting of imports is measured on.

Every form in which a module may be imported comes up, between modules that all exist and names that they all have. As
in real code, a good part of the lines are docstrings, comments and blank.
"""

import random
from pathlib import Path

MODULES_PER_AREA = 29
_SEED = 20240229
_BEGIN = '''"""Module {number} of the measured tree.

Importing it, as in `import {other}`, runs nothing but what stands at its top level.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

{imports}

LIMIT_{number} = {value}
WORDS_{number} = ("import {other}", "from {other} import nothing", "{other}")


class Part{number}:
    """Holds a share of the work; `import {other}` in a docstring is text."""

    def __init__(self, limit: int = LIMIT_{number}) -> None:
        self.limit = limit
        self.seen: dict[str, int] = {{}}

    def note(self, word: str) -> int:
        # a word that comes up again costs one of the limit
        self.seen[word] = self.seen.get(word, 0) + 1
        return self.limit - self.seen[word]

    def summary(self) -> list[str]:
        """Tell what came up more often than is usual, one line for each word."""
        return [f"{{word}}: {{count}}" for word, count in sorted(self.seen.items()) if count > {value}]


def later_{number}() -> object:
    """Import only when asked."""
    {lazy}

    return {lazy_name}
'''
_MORE = '''

@dataclass(frozen=True)
class Entry{number}_{part}:
    """One entry of a ledger.

    Attributes:
        name: what it is about, as a person would say it.
        amount: in whole units.
    """

    name: str
    amount: int = {value}

    def doubled(self) -> "Entry{number}_{part}":
        return Entry{number}_{part}(self.name, self.amount * 2)


def use_{number}_{part}(values: Iterable[int], *, above: int = LIMIT_{number}) -> int:
    """Add up what is above a limit.

    Values of nothing are left out, and small ones count against the sum.
    """
    total = 0
    for value in values:
        if value > above:
            total += value * {value}
        elif value:
            total -= 1  # from import to export, every step has its price
    return total
'''


def write_tree(folder: Path, *, modules: int, lines: int) -> int:
    """Write a source of this many modules, `__init__.py` files included, and return how many lines it has.

    Args:
        folder: must not exist.
        modules: at least 2; the first is the main module with the console script's target.
        lines: about how many each module has, at least 45.
    """
    chance = random.Random(_SEED)  # noqa: S311 - the same numbers at every run are the point
    places = _places(modules)
    written = 0
    for number, place in enumerate(places):
        file = folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        text = _module(number, places, chance, lines)
        written += text.count("\n")
        file.write_text(text)
    return written


def _places(modules: int) -> list[str]:
    places = ["main.py"]
    for number in range(modules - 1):
        area, member = divmod(number, MODULES_PER_AREA)
        places.append(f"area_{area}/" + ("__init__.py" if member == 0 else f"part_{member}.py"))
    return places


def _module(number: int, places: list[str], chance: random.Random, lines: int) -> str:
    imports = [line for _ in range(4) for line in _imported(chance.randrange(1, len(places)), places, chance)]
    lazy = chance.randrange(1, len(places))
    text = _BEGIN.format(
        number=number,
        value=chance.randrange(100),
        other=_name(places[chance.randrange(1, len(places))]),
        imports="\n".join(imports),
        lazy=f"from {_name(places[lazy])} import Part{lazy}",
        lazy_name=f"Part{lazy}",
    )
    part = 0
    while part == 0 or lines - text.count("\n") > _MORE.count("\n") // 2:
        text += _MORE.format(number=number, part=part, value=chance.randrange(100))
        part += 1
    return text + ("\n\ndef main_sync() -> None:\n    json.dumps({})\n" if number == 0 else "")


def _imported(target: int, places: list[str], chance: random.Random) -> list[str]:
    name = _name(places[target])
    area, _, part = name.rpartition(".")
    forms = [
        [f"import {name}"],
        [f"import {name} as alias_{target}"],
        [f"from {name} import Part{target}, use_{target}_0 as used_{target}"],
        [f"from {name} import (", f"    LIMIT_{target},", f"    WORDS_{target},  # a comment inside", ")"],
        ["try:", f"    import {name}", "except ImportError:", "    pass"],
        [f"import json, {name}  # two at once"],
    ]
    if area:
        forms.append([f"from {area} import {part}"])
    return chance.choice(forms)


def _name(place: str) -> str:
    return place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
