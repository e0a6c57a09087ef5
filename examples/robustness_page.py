"""The robustness page: rules, summary, evaluations and times of every solver on every problem."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy

from curvblas.examples.machine import machine
from curvblas.examples.race import Race, Run
from curvblas.examples.robustness_summary import Row, summarise
from curvblas.examples.robustness_words import HEAD, PROFILES, READING
from curvblas.examples.solvers import FEW, LBFGSB


class Part(NamedTuple):
    """Problems of some range of sizes."""

    title: str
    fewest: float
    most: float


PARTS = (Part(f"Up to {FEW} variables", 0, FEW), Part(f"More than {FEW} variables", FEW + 1, np.inf))
HEADINGS = ("solver", "solved", "f alone", "elsewhere", "evaluations", "time")


def part(races: Sequence[Race], of: Part) -> list[Race]:
    """Choose the races on problems of some sizes.

    Parameters
    ----------
    races : sequence of Race
    of : Part

    Returns
    -------
    list of Race
    """
    return [race for race in races if of.fewest <= race.problem.n <= of.most]


def cells(row: Row, problems: int) -> list[str]:
    """Write a row of the summary.

    Parameters
    ----------
    row : Row
    problems : int

    Returns
    -------
    list of str
        As in `HEADINGS`.
    """
    counts = [f"{row.solved} of {problems}", str(row.solved_in_value), str(row.elsewhere)]
    return [row.solver, *counts, f"{row.evaluations:.2f}", f"{row.seconds:.2f}"]


def write_page(races: Sequence[Race], budget: int, seconds: float, path: Path) -> None:
    """Write the page in Markdown.

    Parameters
    ----------
    races : sequence of Race
    budget : int
    seconds : float
        Processor time of everything.
    path : pathlib.Path
    """
    sizes = [race.problem.n for race in races]
    head = HEAD.format(
        scipy=scipy.__version__,
        problems=len(races),
        fewest=min(sizes),
        most=f"{max(sizes):,}",
        machine=machine(),
        seconds=seconds,
        budget=f"{budget:,}",
        few=FEW,
    )
    lines = [head, PROFILES, *_summary(races)]
    for of in PARTS:
        lines += [f"## {of.title}: evaluations", "", *_evaluations(part(races, of)), ""]
    for of in PARTS:
        lines += [f"## {of.title}: milliseconds", "", *_times(part(races, of)), ""]
    path.write_text("\n".join([*lines, READING]))


def _summary(races: Sequence[Race]) -> list[str]:
    lines = [
        "## Summary",
        "",
        f"Evaluations and time are medians of ratios to {LBFGSB}'s over the problems that both solve: below 1, fewer.",
        "",
    ]
    for of in PARTS:
        chosen = part(races, of)
        rows = [cells(row, len(chosen)) for row in summarise(chosen, LBFGSB)]
        lines += [f"**{of.title}**:", "", *markdown_table(HEADINGS, rows), ""]
    return lines


def _evaluations(races: Sequence[Race]) -> list[str]:
    names = list(races[0].runs)
    head = ["problem", "n", "lowest", "published", *names]
    rows = []
    for race in races:
        problem = race.problem
        published = f"{problem.minima[0]:.6g}" if problem.minima else ""
        counts = [_count(race.runs[name], race.best) for name in names]
        rows.append([problem.name, str(problem.n), _lowest(race.best), published, *counts])
    return markdown_table(head, rows)


def _lowest(best: float) -> str:
    return f"{best:.6g}" if best == 0 or abs(best) > 1e-9 else f"{best:.0e}"


def _count(run: Run, best: float) -> str:
    count, in_value = run.evaluations(best), run.evaluations(best, stationary=False)
    if np.isfinite(count):
        return f"{count:.0f}"
    if np.isfinite(in_value):
        return f"({in_value:.0f})"
    return "o" if run.ends_elsewhere(best) else "–"


def _times(races: Sequence[Race]) -> list[str]:
    names = list(races[0].runs)
    rows = []
    for race in races:
        times = [1000 * race.runs[name].time(race.best) for name in names]
        rows.append([race.problem.name, str(race.problem.n), *map(_milliseconds, times)])
    return markdown_table(["problem", "n", *names], rows)


def _milliseconds(time: float) -> str:
    if np.isinf(time):
        return "–"
    return f"{time:.0f}" if time >= 10 else f"{time:#.2g}"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out a table in Markdown, its first column to the left.

    Parameters
    ----------
    head : sequence of str
    rows : sequence of sequences of str

    Returns
    -------
    list of str
        Its lines.
    """
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(line)} |" for line in (head, rule, *rows)]
