"""All races of the robustness table: run, draw, write the page."""

from __future__ import annotations

from pathlib import Path
from time import process_time

from rich.console import Console
from rich.progress import track

from curvblas.examples.comparison import one_thread
from curvblas.examples.problems import all_problems
from curvblas.examples.race import race
from curvblas.examples.report import plain_table
from curvblas.examples.robustness_page import HEADINGS, PARTS, cells, part, write_page
from curvblas.examples.robustness_plot import save_profiles
from curvblas.examples.robustness_summary import summarise
from curvblas.examples.solvers import LBFGSB, all_solvers

BUDGET = 10000
"""Enough for the chained Rosenbrock function of 1000 variables, which takes L-BFGS six thousand."""


def run_races(quick: bool, output: Path) -> None:
    """Do what `curvblas.examples.robustness.main` says; needs everything in ``curvblas[demo]``.

    Parameters
    ----------
    quick : bool
    output : pathlib.Path
    """
    start = process_time()
    console = Console()
    console.width = max(console.width, 100)  # what the tables take
    problems = all_problems()[:: 4 if quick else 1]
    budget = BUDGET // 20 if quick else BUDGET
    solvers = all_solvers()
    with one_thread():
        race(problems[0], solvers, budget)  # SciPy imports parts of itself in the first call
        races = [race(p, solvers, budget) for p in track(problems, "races", console=console, transient=True)]
    for of in PARTS:
        table = plain_table(of.title, [])
        for heading in HEADINGS:
            table.add_column(heading, justify="left" if heading == HEADINGS[0] else "right")
        for row in summarise(part(races, of), LBFGSB):
            table.add_row(*cells(row, len(part(races, of))))
        console.print(table)
    output.mkdir(parents=True, exist_ok=True)
    save_profiles(races, output / "robustness.png")
    seconds = process_time() - start
    write_page(races, budget, seconds, output / "robustness.md")
    console.print(
        f"Wrote {output / 'robustness.md'} and its plot after {seconds:.0f} s of processor time.", soft_wrap=True
    )
