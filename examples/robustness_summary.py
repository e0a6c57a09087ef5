"""What a table of runs amounts to: ratios of performance, problems solved, medians."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from curvblas.examples.problems.problem import Vector
from curvblas.examples.race import Race, Run

Measure: TypeAlias = Callable[[Run, float], float]
"""Of a run and the lowest value of its problem: what solving it took, or infinity."""


@dataclass(frozen=True)
class Row:
    """One solver on a set of problems; ratios are medians over the problems that it and the reference solve."""

    solver: str
    solved: int
    solved_in_value: int
    elsewhere: int
    evaluations: float
    seconds: float


def costs(races: Sequence[Race], solver: str, measure: Measure) -> Vector:
    """Measure one solver on all problems.

    Parameters
    ----------
    races : sequence of Race
    solver : str
    measure : callable

    Returns
    -------
    float64 array, one for each problem
        Infinity where it is not solved.
    """
    return np.array([measure(race.runs[solver], race.best) for race in races])


def solvers_of(races: Sequence[Race]) -> list[str]:
    """Name the solvers that ran on all of these problems.

    Parameters
    ----------
    races : sequence of Race

    Returns
    -------
    list of str
    """
    return [name for name in races[0].runs if all(name in race.runs for race in races)]


def profiles(races: Sequence[Race], measure: Measure) -> dict[str, Vector]:
    """Divide what each solver took by what the best solver of each problem took (Dolan and Moré 2002).

    Parameters
    ----------
    races : sequence of Race
    measure : callable

    Returns
    -------
    dict of str to float64 array, one for each problem, ascending
        The performance profile at t is the share of ratios up to t; infinity where a problem is not solved.
    """
    table = {name: costs(races, name, measure) for name in solvers_of(races)}
    best = np.min(list(table.values()), axis=0)
    unsolved = np.isinf(best)
    return {
        name: np.sort(np.where(unsolved, np.inf, cost / np.where(unsolved, 1, best))) for name, cost in table.items()
    }


def summarise(races: Sequence[Race], reference: str) -> list[Row]:
    """Count what each solver solves, and compare it with one of them.

    Parameters
    ----------
    races : sequence of Race
    reference : str
        Name of a solver.

    Returns
    -------
    list of Row
    """
    return [_row(races, solver, reference) for solver in solvers_of(races)]


def _row(races: Sequence[Race], solver: str, reference: str) -> Row:
    counts, counts_of_reference = (costs(races, name, Run.evaluations) for name in (solver, reference))
    times, times_of_reference = (costs(races, name, Run.time) for name in (solver, reference))
    both = np.isfinite(counts) & np.isfinite(counts_of_reference)
    in_value = costs(races, solver, lambda run, best: run.evaluations(best, stationary=False))
    return Row(
        solver,
        solved=int(np.isfinite(counts).sum()),
        solved_in_value=int(np.isfinite(in_value).sum()),
        elsewhere=sum(race.runs[solver].ends_elsewhere(race.best) for race in races),
        evaluations=float(np.median(counts[both] / counts_of_reference[both])) if both.any() else np.nan,
        seconds=float(np.median(times[both] / times_of_reference[both])) if both.any() else np.nan,
    )
