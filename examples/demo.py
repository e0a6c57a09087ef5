"""``python -m curvblas demo``: K-FAC with our kernels against SGD with momentum and Adam, on real data."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

NEEDED = ("matplotlib", "PIL", "rich", "scipy", "sklearn", "threadpoolctl")


def check_packages() -> None:
    """Look for what only the demonstrations need.

    Raises
    ------
    SystemExit
        A package is not installed.
    """
    missing = [package for package in NEEDED if find_spec(package) is None]
    if missing:
        raise SystemExit(f"The demo needs {', '.join(missing)}: pip install '.[demo]' in a clone of curvblas")


def main(quick: bool, output: Path) -> None:
    """Tune and train all optimisers on all tasks, print tables, write ``demo.png`` and ``demo.json``.

    Parameters
    ----------
    quick : bool
        One seed, a fifth of the steps and smaller grids: 20 seconds instead of two to three minutes.
    output : pathlib.Path
        Directory of the two files; made if need be.
    """
    check_packages()
    # Imported only now, so that a missing package ends in a sentence.
    from curvblas.examples.comparison import run_comparison

    run_comparison(quick, output)
