"""Held-out folds: by unique shape, by network or by family of networks; never by row.

A fold is (training samples, held-out samples). Both sides are merged to one median per key *after* they parted, and
only shapes that the training side does not have are scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fleetpose.errors import UsageError, unknown_name
from latency.dataset.sample import Sample, merge

SPLITS = ("shape", "network", "family")


@dataclass(frozen=True)
class Fold:
    """One division of samples.

    Attributes:
        train, test: samples, merged by key; no shape is on both sides.
        held_out: names of what is held out: networks or families; () by shape.
    """

    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    held_out: tuple[str, ...] = ()


def folds(samples: Sequence[Sample], by: str, count: int, seed: int = 0) -> list[Fold]:
    """`count` folds of observations (not merged yet) by one of SPLITS.

    By network or family, an observation is trained on where any of its networks is; those of no network are always.

    Raises:
        UsageError: another split, fewer groups than folds, or samples that name no networks.
    """
    if by not in SPLITS:
        raise unknown_name("split", by, SPLITS)
    names = sorted({name for sample in samples for name in groups_of(sample, by)})
    if by != "shape" and not names:
        raise UsageError(f"no sample names its {by}, so none can be held out; use --split shape")
    if not 2 <= count <= len(names):
        raise UsageError(f"--folds {count}: there are {len(names)} groups to split by {by}; give 2 to {len(names)}")
    assigned = _assign(samples, names, by, count, seed)
    return [_fold(samples, assigned, by, number) for number in range(count)]


def groups_of(sample: Sample, by: str) -> tuple[str, ...]:
    """What a sample belongs to under a split: its shape, its networks or its families."""
    return {"shape": (sample.shape_key,), "network": sample.networks, "family": sample.families}[by]


def _assign(samples: Sequence[Sample], names: Sequence[str], by: str, count: int, seed: int) -> dict[str, int]:
    """Group -> fold: groups are shuffled, then each goes, the largest first, where there are fewest rows."""
    sizes = dict.fromkeys(names, 0)
    for sample in samples:
        for name in groups_of(sample, by):
            sizes[name] += 1
    shuffled = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    loads, assigned = [0] * count, {}
    for name in sorted(shuffled, key=lambda name: -sizes[name]):
        assigned[name] = int(np.argmin(loads))
        loads[assigned[name]] += sizes[name]
    return assigned


def _fold(samples: Iterable[Sample], assigned: dict[str, int], by: str, number: int) -> Fold:
    train: list[Sample] = []
    test: list[Sample] = []
    for sample in samples:
        groups = groups_of(sample, by)
        inside = [assigned[name] == number for name in groups]
        (test if inside and all(inside) else train).append(sample)
    kept = merge(train)
    known = {sample.shape_key for sample in kept}
    fresh = merge(sample for sample in test if sample.shape_key not in known)
    return Fold(
        tuple(kept),
        tuple(fresh),
        tuple(sorted(name for name in assigned if assigned[name] == number)) if by != "shape" else (),
    )
