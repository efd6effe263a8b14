"""Nouns of the repository that the runtime is released from: merged changes and their pull requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A merged pull request."""

    number: int
    title: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One commit of the main line, with the pull requests that it merged."""

    commit: str
    message: str
    pull_requests: tuple[PullRequest, ...] = ()

    @property
    def short(self) -> str:
        """The commit as people name it."""
        return self.commit[:7]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of its pull requests."""
        return tuple(label for each in self.pull_requests for label in each.labels)

    @property
    def texts(self) -> Iterator[str]:
        """What people wrote about it: the commit's message, then the titles."""
        yield self.message
        yield from (each.title for each in self.pull_requests)
