"""``python -m curvblas comparison``: all optimisers of curvblas on one network, with equal budgets."""

from __future__ import annotations

from pathlib import Path
from time import process_time

from curvblas.examples.demo import check_packages


def main(quick: bool, output: Path) -> None:
    """Tune and train all optimisers, print the table, write ``optimiser_comparison.md`` and its picture.

    Parameters
    ----------
    quick : bool
        One seed, few passes and one setting each: half a minute instead of five.
    output : pathlib.Path
        Directory of the page and its picture; made if need be.
    """
    check_packages()
    # Imported only now, so that a missing package ends in a sentence.
    from rich.console import Console

    from curvblas.examples.comparison import SEEDS, one_thread, train
    from curvblas.examples.optimiser_comparison_contest import optimiser_contest
    from curvblas.examples.optimiser_comparison_page import table, write_page
    from curvblas.examples.optimiser_comparison_plot import save_curves

    start = process_time()
    console = Console()
    console.width = max(console.width, 110)  # what the table takes
    contest = optimiser_contest(quick)
    with one_thread():
        tuned = train([contest], SEEDS[:1] if quick else SEEDS, console)[0]
    console.print(table(tuned))
    output.mkdir(parents=True, exist_ok=True)
    save_curves(contest, tuned, output / "optimiser_comparison.png")
    seconds = process_time() - start
    page = output / "optimiser_comparison.md"
    write_page(contest, tuned, seconds, page)
    console.print(f"Wrote {page} and its picture after {seconds:.0f} s of processor time.", soft_wrap=True)
