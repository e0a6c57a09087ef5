"""Both contests of the quasi-Newton examples: run, print, draw, write the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import process_time

import numpy as np
from rich.console import Console

from curvblas.examples.comparison import SEEDS, one_thread, train
from curvblas.examples.logistic import Logistic, courses
from curvblas.examples.quasi_newton_digits import digits_contests
from curvblas.examples.quasi_newton_page import (
    LOGISTIC_HEADINGS,
    digits_rows,
    digits_sentences,
    logistic_rows,
    logistic_sentences,
    write_page,
)
from curvblas.examples.quasi_newton_plot import save_digits, save_gradients
from curvblas.examples.report import plain_table
from curvblas.examples.tasks import quick as quick_version

RIDGES = (1e-3, 1e-5)
REPEATS = 15


def run_contests(quick: bool, output: Path) -> None:
    """Do what `curvblas.examples.quasi_newton.main` says; needs everything in ``curvblas[demo]``.

    Parameters
    ----------
    quick : bool
    output : pathlib.Path
    """
    start = process_time()
    console = Console()
    console.width = max(console.width, 110)  # what the widest table takes
    contests = [quick_version(contest) if quick else contest for contest in digits_contests()]
    repeats = 1 if quick else REPEATS
    _keep_memory()
    with one_thread():
        tuned = train(contests, SEEDS[:1] if quick else SEEDS, console)
        courses(Logistic(RIDGES[0]), 1)  # SciPy imports parts of itself in the first call
        regressions = {ridge: courses(Logistic(ridge), repeats) for ridge in RIDGES}
    for contest, results in zip(contests, tuned, strict=True):
        _print(console, f"{contest.name}: {contest.loss}", *digits_rows(results), digits_sentences(results))
    for ridge, runs in regressions.items():
        _print(
            console,
            f"logistic regression, ridge {ridge:g}",
            LOGISTIC_HEADINGS,
            logistic_rows(runs),
            logistic_sentences(runs),
        )
    output.mkdir(parents=True, exist_ok=True)
    save_digits(contests, tuned, output / "quasi_newton_digits.png")
    save_gradients(regressions, output / "quasi_newton_logistic.png")
    seconds = process_time() - start
    page = output / "quasi_newton_examples.md"
    write_page(contests, tuned, regressions, repeats, seconds, page)
    console.print(f"Wrote {page} and its plots after {seconds:.0f} s of processor time.", soft_wrap=True)


def _keep_memory() -> None:
    """Let glibc keep what is freed from now on: its limits follow the largest block that it has given back.

    Without, how often pages were fetched anew hung on what else lay in memory, and with it the time of a method on its
    place in the order: an evaluation of the autoencoder took 3.1 or 5.6 milliseconds.
    """
    np.empty(31 << 20, np.uint8)  # its limits go up to 32 MiB


def _print(
    console: Console, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], caption: Sequence[str]
) -> None:
    table = plain_table(title, list(caption))
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="right" if k else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)
