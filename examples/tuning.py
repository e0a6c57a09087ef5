"""The same chances for every optimiser: as many values on one seed, then the best of them on every seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from curvblas.examples.tasks import OPTIMISERS, Task
from curvblas.examples.trial import Run, run_trial


@dataclass(frozen=True)
class Tuned:
    """One optimiser on one task: a trial of each value of its grid, and the runs of the best, one a seed."""

    optimiser: str
    grid: tuple[float, ...]
    trials: list[Run]
    best: float
    runs: list[Run]

    @property
    def at_edge(self) -> bool:
        """Whether the best value is the first or last of the grid, so that a better one may lie outside."""
        return self.best in {self.grid[0], self.grid[-1]}


def steps_to_take(task: Task, seeds: Sequence[int]) -> int:
    """Count the steps that `tune` takes for all optimisers together.

    Parameters
    ----------
    task : Task
    seeds : sequence of int

    Returns
    -------
    int
    """
    return sum(task.steps_of(name) * (len(task.grids[name]) + len(seeds) - 1) for name in OPTIMISERS)


def tune(task: Task, name: str, seeds: Sequence[int], advance: Callable[[int], None]) -> Tuned:
    """Try every value of the grid on the first seed, and the best of them on the others too.

    Parameters
    ----------
    task : Task
    name : str
        One of `tasks.OPTIMISERS`.
    seeds : sequence of int
    advance : callable
        Told now and then how many steps more are behind us.

    Returns
    -------
    Tuned
        The best value has the smallest final loss.
    """
    trials = [run_trial(task, name, value, seeds[0], advance) for value in task.grids[name]]
    best = min(trials, key=lambda run: run.final_loss)
    others = [run_trial(task, name, best.value, seed, advance) for seed in seeds[1:]]
    return Tuned(name, task.grids[name], trials, best.value, [best, *others])
