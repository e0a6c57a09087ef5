"""``python -m curvblas low-rank``: low-rank natural gradients on digits, Poisson's equation and a chain of spins."""

from __future__ import annotations

from pathlib import Path

from curvblas.examples.demo import check_packages


def main(quick: bool, output: Path) -> None:
    """Tune and train all optimisers in all contests, write ``low_rank_examples.md`` and its plots.

    Parameters
    ----------
    quick : bool
        One seed, a fifth of the steps and smaller grids: ten seconds instead of three minutes.
    output : pathlib.Path
        Directory of the page and its plots; made if need be.
    """
    check_packages()
    # Imported only now, so that a missing package ends in a sentence.
    from curvblas.examples.low_rank_contests import run_contests

    run_contests(quick, output)
