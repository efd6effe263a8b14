"""Which wave each target is in, and which wave goes now: from what targets run, and from how far the same plan had come. Pure.

What is remembered (in the status) is only which wave was opened and when it was through. Whoever loses it soaks the last wave
that is through once more, and opens nothing early.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from controller.api.status import RolloutStatus
from controller.api.v1alpha1 import Rollout, Wave
from controller.model.record import ReleaseRecord
from controller.model.target import Target
from controller.model.wave import Turn
from controller.plan.budget import allowed
from controller.plan.fleet import Fleet, counts, guarded

EVERYONE: Final = "everyone"
"""What the one wave is called where the document names none."""


def assigned(rollout: Rollout, targets: Iterable[Target], version: str) -> Mapping[str, str]:
    """Return the name of the wave that each of `targets` is in, by id."""
    names = [wave.name for wave in rollout.waves] or [EVERYONE]
    return {target: names[number] for target, number in _numbers(rollout, targets, version).items()}


def _numbers(rollout: Rollout, targets: Iterable[Target], version: str) -> Mapping[str, int]:
    """Return which wave each target is in, counted from 0.

    A percentage counts those that run and may be moved, so that a canary is never one that stays as it is.
    """
    targets = tuple(targets)
    last = max(0, len(rollout.waves) - 1)
    ranked = sorted(
        (target.id for target in targets if counts(target) and guarded(target, version) is None),
        key=lambda name: (hashlib.sha256(name.encode()).digest(), name),
    )
    reach = [
        frozenset(ranked[: allowed(f"{wave.percent}%", len(ranked))]) if wave.percent else frozenset[str]()
        for wave in rollout.waves
    ]
    return {
        target.id: next(
            (
                number
                for number, wave in enumerate(rollout.waves[:last])
                if _names(wave, target) or target.id in reach[number]
            ),
            last,
        )
        for target in targets
    }


def _names(wave: Wave, target: Target) -> bool:
    """Whether a wave takes a target by its labels or its host."""
    by_label = wave.selector is not None and wave.selector.match_labels.items() <= target.labels.items()
    return by_label or target.host in wave.hosts


def turn_of(  # noqa: PLR0913 -- what is asked for, and each side of what is known
    rollout: Rollout,
    record: ReleaseRecord,
    fleet: Fleet,
    remembered: RolloutStatus | None,
    now: datetime,
    *,
    put_off: Collection[str] = (),
) -> Turn | None:
    """Return which wave of `record` goes now; None where the document names no waves.

    `remembered` is what the last pass said, `now` aware UTC. `put_off` are ids of targets whose work has outlasted their drain: the
    next wave waits for none of them.
    """
    if not rollout.waves:
        return None
    among = (*fleet.ours, *(left.target for left in fleet.failed), *fleet.unseen)
    plan = _Plan(
        rollout, fleet, _numbers(rollout, among, record.version), _hash(rollout, record), frozenset(put_off)
    )
    names = [wave.name for wave in rollout.waves]
    if remembered is not None and remembered.plan_hash == plan.hash and remembered.wave in names:
        return plan.turn(names.index(remembered.wave), remembered.wave_proven_time, now)
    return plan.turn(plan.begun, None, now)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The waves of one release, each target with the number of its own."""

    rollout: Rollout
    fleet: Fleet
    numbers: Mapping[str, int]
    hash: str
    put_off: Collection[str]

    @property
    def left(self) -> int:
        """The first wave that has anything left to do which the next one waits for; as many as there are waves where none has."""
        waited_for = (self.numbers[target.id] for target in self.fleet.stale if target.id not in self.put_off)
        return min(waited_for, default=len(self.rollout.waves))

    @property
    def begun(self) -> int:
        """The last wave before the first that has anything left to do: nobody knows whether it has soaked."""
        left = min((self.numbers[target.id] for target in self.fleet.stale), default=0)
        return max(
            (self.numbers[each.id] for each in self.fleet.counted if self.numbers[each.id] < left), default=0
        )

    @property
    def spare(self) -> Mapping[str, int]:
        """On how many targets of each wave the release may fail: never on all of them, which would have proven nothing."""
        running = (
            *self.fleet.counted,
            *(left.target for left in self.fleet.failed if left.target.is_running),
        )
        members = Counter(self.numbers[target.id] for target in running)
        return {
            wave.name: max(0, min(wave.max_failures, members[number] - 1))
            for number, wave in enumerate(self.rollout.waves)
        }

    def turn(self, number: int, proven_time: datetime | None, now: datetime) -> Turn:
        """Return the turn from wave `number` on, which has been through since `proven_time`."""
        waves = self.rollout.waves
        left, unproven = self.left, self._unproven()
        members = {self.numbers[target.id] for target in self.fleet.counted}
        if left == len(waves):  # nobody waits: what is remembered stays as it is until somebody does
            return self._at(number, (proven_time or now) if number not in unproven else None)
        since = proven_time
        while number not in unproven and left > number:
            since = since or now
            until = since + timedelta(seconds=waves[number].soak_seconds if number in members else 0)
            if now < until:
                return self._at(number, since, until)
            if number == len(waves) - 1:
                return self._at(number, since)
            number, since = number + 1, None
        return self._at(number)

    def _unproven(self) -> Collection[int]:
        """Return the waves of which nobody answers, who may not be well, or with those before more are silent than may be."""
        counted = Counter(self.numbers[target.id] for target in self.fleet.counted)
        proven = Counter(self.numbers[target.id] for target in self.fleet.proven)
        away = Counter(self.numbers[target.id] for target in self.fleet.unseen)
        silent = Counter(self.numbers[target.id] for target in self.fleet.unproven) + away
        found, among, missing = set(), 0, 0
        for number in range(len(self.rollout.waves)):
            among += counted[number] + away[number]
            missing += silent[number]
            most = allowed(self.rollout.max_unreachable, among)
            if (counted[number] and not proven[number]) or missing > most:
                found.add(number)
        return found

    def _at(self, number: int, proven_time: datetime | None = None, until: datetime | None = None) -> Turn:
        names = [wave.name for wave in self.rollout.waves]
        return Turn(
            plan_hash=self.hash,
            name=names[number],
            waves={target: names[each] for target, each in self.numbers.items()},
            open=frozenset(target for target, each in self.numbers.items() if each <= number),
            spare=self.spare,
            promotes=self._promotes(number),
            proven_time=proven_time,
            soaks_until=until,
        )

    def _promotes(self, number: int) -> bool:
        """Whether moving tags may follow while wave `number` goes: the one that they follow is through, and not for lack of targets."""
        named = self.rollout.promote_after_wave
        after = next((place for place, wave in enumerate(self.rollout.waves) if wave.name == named), number)
        return number > after and any(self.numbers[target.id] <= after for target in self.fleet.proven)


def _hash(rollout: Rollout, record: ReleaseRecord) -> str:
    """Return the SHA-256, in hex, of what is rolled and in which waves: another image is another plan."""
    images = sorted(image.identity for image in record.in_use.templates.values())
    waves = [wave.model_dump(mode="json") for wave in rollout.waves]
    return hashlib.sha256(json.dumps([record.version, images, waves]).encode()).hexdigest()
