"""All contests of the low-rank examples: train, draw, write the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import process_time

from rich.console import Console

from curvblas.examples.comparison import one_thread, train
from curvblas.examples.contest import KALDI, SGD, TONGA, Contest
from curvblas.examples.gauss_newton import poisson_contest
from curvblas.examples.low_rank_page import outcome_table, write_page
from curvblas.examples.low_rank_plot import save_energies, save_panels
from curvblas.examples.monte_carlo import ising_contest
from curvblas.examples.tasks import Task, all_tasks
from curvblas.examples.tasks import quick as quick_version

SEEDS = (0, 1, 2, 3, 4)


def run_contests(quick: bool, output: Path) -> None:
    """Do what `curvblas.examples.low_rank.main` says; needs everything in ``curvblas[demo]``.

    Parameters
    ----------
    quick : bool
    output : pathlib.Path
    """
    start = process_time()
    console = Console()
    console.width = max(console.width, 100)  # what the widest table takes
    digits, poisson, ising = digits_tasks(), poisson_contest(), ising_contest()
    contests: list[Contest] = [quick_version(contest) if quick else contest for contest in (*digits, poisson, ising)]
    seeds = SEEDS[:1] if quick else SEEDS
    with one_thread():
        tuned = train(contests, seeds, console)
    for contest, results in zip(contests, tuned, strict=True):
        console.print(outcome_table(contest, results))
    output.mkdir(parents=True, exist_ok=True)
    save_panels(contests[:2], tuned[:2], output / "low_rank_digits.png")
    save_panels(contests[2:3], tuned[2:3], output / "low_rank_poisson.png")
    save_energies(contests[3], tuned[3], ising.ground, output / "low_rank_ising.png")
    seconds = process_time() - start
    write_page(contests, tuned, seconds, output / "low_rank_examples.md")
    console.print(
        f"Wrote {output / 'low_rank_examples.md'} and its plots after {seconds:.0f} s of processor time.",
        soft_wrap=True,
    )


def digits_tasks() -> list[Task]:
    """Take the demo's two networks for digits, with 15 combinations of settings for every optimiser.

    Returns
    -------
    list of Task
        The autoencoder and the classifier.
    """
    autoencoder, classifier = all_tasks()[:2]
    tonga_rates = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4)
    return [
        replace(
            autoencoder,
            steps=600,
            axes={
                SGD: {"rate": (0.003, 0.01, 0.03, 0.1, 0.3), "momentum": (0.5, 0.9, 0.97)},
                TONGA: {"rate": tonga_rates, "damping": (0.0001, 0.001, 0.01)},
                KALDI: {"rate": (0.01, 0.03, 0.1, 0.3, 1.0), "alpha": (0.1, 1.0, 10.0)},
            },
        ),
        replace(
            classifier,
            axes={
                SGD: {"rate": (0.03, 0.1, 0.3, 1.0, 3.0), "momentum": (0.97, 0.99, 0.995)},
                TONGA: {"rate": tonga_rates, "damping": (0.00001, 0.0001, 0.001)},
                KALDI: {"rate": (0.1, 0.3, 1.0, 3.0, 10.0), "alpha": (0.1, 1.0, 10.0)},
            },
        ),
    ]
