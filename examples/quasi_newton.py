"""``python -m curvblas quasi-newton``: L-BFGS and L-SR1 on a network for digits and in logistic regression."""

from __future__ import annotations

from pathlib import Path

from curvblas.examples.demo import check_packages


def main(quick: bool, output: Path) -> None:
    """Run both contests, write ``quasi_newton_examples.md`` and its plots.

    Parameters
    ----------
    quick : bool
        One seed, a fifth of the epochs, smaller grids and one run of each minimiser: seconds instead of a minute.
    output : pathlib.Path
        Directory of the page and its plots; made if need be.
    """
    check_packages()
    # Imported only now, so that a missing package ends in a sentence.
    from curvblas.examples.quasi_newton_contests import run_contests

    run_contests(quick, output)
