"""How examples are cut into splits: class by class, in the same proportions, decided by the seed alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from anchorlab.seeding import generator

#: Share of the training part that becomes the test part, where the data have none.
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Fractions:
    """Shares of the training part that the owner does not get; the owner trains on the rest."""

    held_out: float = 0.10
    selection: float = 0.05
    defender: float = 0.05

    @property
    def by_split(self) -> dict[str, float]:
        """Split name to its share."""
        return {"held-out": self.held_out, "selection": self.selection, "defender": self.defender}


def cut_splits(labels: Tensor, fractions: Fractions, *, seed: int) -> dict[str, Tensor]:
    """Cuts examples into owner, held-out, selection and defender, each class in the same proportions.

    Each class gives a split its share, rounded. The classes that are too small for that are taken together: the split
    gets their common share, rounded, as one example of each of the largest of them; between equals, of those that gave
    fewer to the splits before it, and then chance decides.
    The owner keeps at least one example of every class.

    Args:
        labels: int64 ``[N]``.
        fractions: shares of the three parts that are not the owner's.
        seed: decides which example goes where.

    Returns:
        Split name to ascending int64 indices; together they are all of ``range(N)``, each once.
    """
    shares = fractions.by_split
    sizes = {label: int((labels == label).sum()) for label in sorted(set(labels.tolist()))}
    rounded = {label: _rounded(size, shares) for label, size in sizes.items()}
    rare = _of_rare_classes(sizes, rounded, shares, seed)
    parts: dict[str, list[Tensor]] = {name: [] for name in ("owner", *shares)}
    for label in sizes:
        members = (labels == label).nonzero().flatten()
        order = members[torch.randperm(len(members), generator=generator(seed, "cut", label))]
        start = 0
        for counts in (rounded[label], rare[label]):  # in this order, so that what rounding gives does not depend on it
            for name, count in counts.items():
                parts[name].append(order[start : start + count])
                start += count
        parts["owner"].append(order[start:])
    return {name: torch.cat(pieces).sort().values for name, pieces in parts.items()}


def fewest_for(share: float) -> int:
    """The least number of examples of which a share above 0, rounded, is at least one."""
    least = math.ceil(0.5 / share)
    return least if round(share * least) >= 1 else least + 1  # Python rounds a half to the even number, here to 0


def _rounded(size: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Split name to the rounded share of a class, of which one example or more stay for the owner."""
    counts = {name: round(share * size) for name, share in shares.items()}
    while sum(counts.values()) >= size:
        most = max(counts, key=lambda name: counts[name] - shares[name] * size if counts[name] else -math.inf)
        counts[most] -= 1
    return counts


def _of_rare_classes(
    sizes: Mapping[int, int], rounded: Mapping[int, Mapping[str, int]], shares: Mapping[str, float], seed: int
) -> dict[int, dict[str, int]]:
    """Label to what its class gives to the splits to which rounding gives none of it: split name to 0 or 1."""
    spare = {label: size - 1 - sum(rounded[label].values()) for label, size in sizes.items()}
    given: dict[int, dict[str, int]] = {label: {} for label in sizes}
    for name, share in shares.items():
        rare = [label for label in sizes if round(share * sizes[label]) == 0]
        total = round(share * sum(sizes[label] for label in rare))
        by_chance = torch.randperm(len(rare), generator=generator(seed, "cut", "rare", name)).tolist()
        able = [rare[index] for index in by_chance if spare[rare[index]] > 0]
        by_size = sorted(able, key=lambda label: (-sizes[label], sum(given[label].values())))
        for label in by_size[:total]:  # a share below one is its own remainder
            given[label][name] = 1
            spare[label] -= 1
    return given
