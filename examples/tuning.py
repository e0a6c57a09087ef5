"""The same chances for every optimiser: as many values on one seed, then the best of them on every seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from curvblas.examples.contest import Axes, Contest, Value
from curvblas.examples.trial import Run, run_trial


@dataclass(frozen=True)
class Tuned:
    """One optimiser in one contest: a trial of every combination of its settings, and the best runs, one a seed."""

    optimiser: str
    axes: Axes
    trials: list[Run]
    best: Value
    runs: list[Run]

    @property
    def at_edge(self) -> list[str]:
        """The settings whose best value is the first or last that was tried, so that a better one may lie outside."""
        tried = zip(self.axes.items(), self.best, strict=True)
        return [setting for (setting, values), best in tried if len(values) > 1 and best in {values[0], values[-1]}]


def steps_to_take(contest: Contest, seeds: Sequence[int]) -> int:
    """Count the steps of all trials, and of the best of each optimiser on all seeds.

    Parameters
    ----------
    contest : Contest
    seeds : sequence of int

    Returns
    -------
    int
    """
    trials = {name: prod(map(len, axes.values())) for name, axes in contest.axes.items()}
    return sum(contest.steps_of(name) * (count + len(seeds) - 1) for name, count in trials.items())


def tune(contest: Contest, name: str, seed: int, advance: Callable[[int], None]) -> Tuned:
    """Try every combination of settings on one seed.

    Parameters
    ----------
    contest : Contest
    name : str
        One of its optimisers.
    seed : int
    advance : callable
        Told now and then how many steps more are behind us.

    Returns
    -------
    Tuned
        The best value has the smallest final loss; its run is the first of ``runs``.
    """
    axes = contest.axes[name]
    trials = [run_trial(contest, name, value, seed, advance) for value in product(*axes.values())]
    best = min(trials, key=lambda run: run.final_loss)
    return Tuned(name, axes, trials, best.value, [best])
