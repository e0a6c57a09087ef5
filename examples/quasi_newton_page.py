"""The page of the quasi-Newton examples: tables and sentences from what was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from curvblas.examples.contest import Contest
from curvblas.examples.logistic import TOLERANCE, Course
from curvblas.examples.low_rank_page import cautions
from curvblas.examples.machine import machine
from curvblas.examples.quasi_newton_words import DIGITS, HEAD, LOGISTIC, READING
from curvblas.examples.report import cells
from curvblas.examples.robustness_page import markdown_table
from curvblas.examples.solvers import LBFGS, LBFGSB, LSR1
from curvblas.examples.summary import Row, compare
from curvblas.examples.tuning import Tuned

Rows = list[list[str]]
LOGISTIC_HEADINGS = ["minimiser", "steps", "evaluations", "Hessian products", "ms", "gradient at the end"]


def digits_rows(tuned: list[Tuned]) -> tuple[list[str], Rows]:
    """Lay out one network: a row for each method.

    Parameters
    ----------
    tuned : list of Tuned

    Returns
    -------
    headings : list of str
    rows : list of lists of str
    """
    comparison = compare(tuned)
    after = [f"after {comparison.equal_steps} epochs", f"after {comparison.equal_seconds:.2g} s"]
    with_accuracy = any(row.accuracy is not None for row in comparison.rows)
    head = ["method", "best", *after, "last five", "over seeds", "ms an epoch", *["test acc."] * with_accuracy]
    return head, [cells(t, row) for t, row in zip(tuned, comparison.rows, strict=True)]


def digits_sentences(tuned: list[Tuned]) -> list[str]:
    """Say in which order the methods arrive, and what a reader must know.

    Parameters
    ----------
    tuned : list of Tuned

    Returns
    -------
    list of str
    """
    comparison = compare(tuned)

    def order(key: Callable[[Row], float]) -> str:
        return ", ".join(row.optimiser for row in sorted(comparison.rows, key=key))

    return [
        f"After {comparison.equal_steps} epochs, from the lowest loss: {order(lambda row: row.loss_at_equal_steps)}.",
        f"After {comparison.equal_seconds:.2g} s, from the lowest loss: {order(lambda row: row.loss_at_equal_time)}.",
        *cautions(tuned),
    ]


def logistic_rows(runs: dict[str, Course]) -> Rows:
    """Lay out one regression: a row for each minimiser.

    Parameters
    ----------
    runs : dict of str to Course

    Returns
    -------
    list of lists of str
        As in `LOGISTIC_HEADINGS`.
    """
    rows = []
    for name, course in runs.items():
        counts = [course.steps[-1], len(course.gradients), course.products[-1]]
        end = f"{course.gradients[-1]:.1e}" + ("" if course.arrived else ", gave up")
        rows.append([name, *map(str, counts), f"{1e3 * course.seconds[-1]:.1f}", end])
    return rows


def logistic_sentences(runs: dict[str, Course]) -> list[str]:
    """Compare our minimisers with SciPy's L-BFGS-B, and say which of all are ahead.

    Parameters
    ----------
    runs : dict of str to Course

    Returns
    -------
    list of str
    """
    reference, lines = runs[LBFGSB], []
    for name in (LBFGS, LSR1):
        evaluations = len(runs[name].gradients) / len(reference.gradients)
        time = runs[name].seconds[-1] / reference.seconds[-1]
        lines.append(
            f"{name} takes {evaluations:.2f} times the evaluations of {LBFGSB}, and {time:.2f} times its time."
        )
    arrived = [name for name, course in runs.items() if course.arrived]
    fewest = min(arrived, key=lambda name: len(runs[name].gradients) + runs[name].products[-1])
    fastest = min(arrived, key=lambda name: runs[name].seconds[-1])
    return [*lines, f"Fewest evaluations and products: {fewest}. Least time: {fastest}."]


def write_page(
    contests: Sequence[Contest],
    tuned: list[list[Tuned]],
    regressions: dict[float, dict[str, Course]],
    repeats: int,
    seconds: float,
    path: Path,
) -> None:
    """Write the page in Markdown.

    Parameters
    ----------
    contests : sequence of Contest
        Of digits.
    tuned : list of lists of Tuned
        The methods of each contest.
    regressions : dict of float to dict of str to Course
        The minimisers by name, for each ridge.
    repeats : int
        Runs of each of them.
    seconds : float
        Processor time of everything.
    path : pathlib.Path
    """
    trials = max(len(t.trials) for t in tuned[0])
    lines = [
        HEAD.format(machine=machine(), seconds=seconds),
        DIGITS.format(trials=trials, seeds=len(tuned[0][0].runs)),
    ]
    for contest, results in zip(contests, tuned, strict=True):
        lines += [f"**{contest.name}**, {contest.loss}:", "", *markdown_table(*digits_rows(results)), ""]
        lines += [*(f"* {sentence}" for sentence in digits_sentences(results)), ""]
    lines.append(LOGISTIC.format(tolerance=TOLERANCE, repeats=repeats))
    for ridge, runs in regressions.items():
        lines += [f"**ridge {ridge:g}**:", "", *markdown_table(LOGISTIC_HEADINGS, logistic_rows(runs)), ""]
        lines += [*(f"* {sentence}" for sentence in logistic_sentences(runs)), ""]
    path.write_text("\n".join([*lines, READING]))
