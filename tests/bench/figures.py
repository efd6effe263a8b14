"""A figure is a number with its raw samples and the bar that it must reach; this is all the arithmetic of the benches."""

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_DIGITS = 3


@dataclass(frozen=True)
class Bar:
    """A limit: `at_least` says on which side of it a value must be."""

    limit: float
    at_least: bool

    def held_by(self, value: float) -> bool:
        """Whether a value, as it is printed, reaches the bar."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"at {'least' if self.at_least else 'most'} {self.limit:g}"


def at_least(limit: float) -> Bar:
    """A bar for what must not be smaller."""
    return Bar(limit, at_least=True)


def at_most(limit: float) -> Bar:
    """A bar for what must not be larger."""
    return Bar(limit, at_least=False)


@dataclass(frozen=True)
class Figure:
    """One result. Without a bar it is only reported, and holds; `how` says what was done, in one sentence."""

    id: str
    value: float
    unit: str
    how: str
    ours: tuple[float, ...]
    baseline: tuple[float, ...] = ()
    bar: Bar | None = None

    @classmethod
    def middle(
        cls,
        identity: str,
        ours: Sequence[float],
        baseline: Sequence[float] = (),
        *,
        how: str,
        bar: Bar | None = None,
    ) -> Self:
        """The median of our samples in seconds."""
        value = round(statistics.median(ours), _DIGITS)
        return cls(identity, value, "s", how, _rounded(ours), _rounded(baseline), bar)

    @classmethod
    def largest(
        cls, identity: str, ours: Sequence[float], baseline: Sequence[float] = (), *, how: str
    ) -> Self:
        """The largest of our samples in seconds."""
        return cls(identity, round(max(ours), _DIGITS), "s", how, _rounded(ours), _rounded(baseline))

    @classmethod
    def times_faster(
        cls,
        identity: str,
        ours: Sequence[float],
        baseline: Sequence[float],
        *,
        how: str,
        bar: Bar | None = None,
    ) -> Self:
        """How many times ours goes into the baseline: the median over the pairs, so that a slow minute of the machine weighs on both."""
        return cls._ratio(identity, ours, baseline, over=(baseline, ours), how=how, bar=bar)

    @classmethod
    def times_the_floor(
        cls,
        identity: str,
        ours: Sequence[float],
        baseline: Sequence[float],
        *,
        how: str,
        bar: Bar | None = None,
    ) -> Self:
        """How many times the baseline goes into ours: the median over the pairs."""
        return cls._ratio(identity, ours, baseline, over=(ours, baseline), how=how, bar=bar)

    @classmethod
    def _ratio(  # noqa: PLR0913 - the fields of a figure
        cls,
        identity: str,
        ours: Sequence[float],
        baseline: Sequence[float],
        *,
        over: tuple[Sequence[float], Sequence[float]],
        how: str,
        bar: Bar | None,
    ) -> Self:
        ratios = [above / below for above, below in zip(*over, strict=True)]
        value = round(statistics.median(ratios), _DIGITS)
        return cls(identity, value, "times", how, _rounded(ours), _rounded(baseline), bar)

    @property
    def holds(self) -> bool:
        """Whether the bar is reached."""
        return self.bar is None or self.bar.held_by(self.value)

    def to_document(self) -> dict[str, Any]:
        """All of it, as BENCH=FILE holds it."""
        return {
            "id": self.id,
            "value": self.value,
            "unit": self.unit,
            "bar": self.bar.limit if self.bar else None,
            "holds": self.holds,
            "how": self.how,
            "ours": list(self.ours),
            "baseline": list(self.baseline),
        }


def write(figures: Iterable[Figure], file: Path) -> None:
    """Write the figures as a JSON list."""
    file.write_text(json.dumps([figure.to_document() for figure in figures], indent=1) + "\n")


def table(figures: Sequence[Figure]) -> list[str]:
    """The figures for people: one line each, then what was done for each."""
    rows = [f"{'figure':<26}{'value':>9} {'unit':<7}{'bar':<15}holds"]
    for figure in figures:
        holds = "-" if figure.bar is None else "yes" if figure.holds else "NO"
        bar = str(figure.bar or "-")
        rows.append(f"{figure.id:<26}{figure.value:>9.3f} {figure.unit:<7}{bar:<15}{holds}")
    return [*rows, "", *(f"{figure.id}: {figure.how}" for figure in figures)]


def _rounded(samples: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(sample, _DIGITS) for sample in samples)
