"""``python -m curvblas robustness``: the quasi-Newton minimisers beside SciPy's, on published test problems."""

from __future__ import annotations

from pathlib import Path

from curvblas.examples.demo import check_packages


def main(quick: bool, output: Path) -> None:
    """Run all solvers on all problems, write ``robustness.md`` and its plot.

    Parameters
    ----------
    quick : bool
        A quarter of the problems and a twentieth of the budget: seconds instead of minutes.
    output : pathlib.Path
        Directory of the page and its plot; made if need be.
    """
    check_packages()
    # Imported only now, so that a missing package ends in a sentence.
    from curvblas.examples.robustness_races import run_races

    run_races(quick, output)
