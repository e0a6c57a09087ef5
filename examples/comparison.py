"""The whole comparison: train, print, draw, write."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from threadpoolctl import threadpool_limits

import curvblas as cb
from curvblas.examples.contest import KFAC, Contest
from curvblas.examples.plot import save_plot
from curvblas.examples.report import comparison_table, phase_table, promise_lines
from curvblas.examples.summary import compare, promises
from curvblas.examples.tasks import Task, all_tasks
from curvblas.examples.tasks import quick as quick_version
from curvblas.examples.trial import run_trial
from curvblas.examples.tuning import Tuned, steps_to_take, tune

SEEDS = (0, 1, 2)


def run_comparison(quick: bool, output: Path) -> None:
    """Do what `curvblas.examples.demo.main` says; needs everything in ``curvblas[demo]``.

    Parameters
    ----------
    quick : bool
    output : pathlib.Path
    """
    start = perf_counter()
    console = Console()
    console.width = max(console.width, 90)  # what the widest table takes
    tasks = [quick_version(task) if quick else task for task in all_tasks()]
    with one_thread():
        tuned = train(tasks, SEEDS[:1] if quick else SEEDS, console)
    show(tasks, tuned, quick, console)
    output.mkdir(parents=True, exist_ok=True)
    save_plot(tasks, tuned, promises(tuned[0])[0], output / "demo.png")
    numbers = as_numbers(tasks, tuned, quick)
    (output / "demo.json").write_text(json.dumps(numbers, indent=1))
    written = f"Wrote {output / 'demo.png'} and {output / 'demo.json'}"
    console.print(f"{written} after {perf_counter() - start:.0f} s.", highlight=False, soft_wrap=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold NumPy and curvblas to one thread each while the context lasts.

    The same for all optimisers, and steadier: at these sizes a second thread of NumPy's BLAS saves nothing, and
    beside other work on the machine two threads that wait for each other were ten times slower than one.
    """
    before = cb.get_num_threads()
    cb.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cb.set_num_threads(before)


def train(tasks: Sequence[Contest], seeds: tuple[int, ...], console: Console) -> list[list[Tuned]]:
    """Tune and run every optimiser on every task, with a progress bar.

    Parameters
    ----------
    tasks : sequence of Contest
    seeds : tuple of int
    console : rich.console.Console

    Returns
    -------
    list of lists of Tuned
        The optimisers of each task, in the order of its ``axes``.
    """
    columns = (TextColumn("{task.description:32}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    results = []
    # Redrawn twice a second: the bar runs in a thread that takes its time from the optimisers.
    with Progress(*columns, console=console, refresh_per_second=2, transient=True) as progress:
        bar = progress.add_task("", total=sum(steps_to_take(task, seeds) for task in tasks))

        def advance(steps: int) -> None:
            progress.advance(bar, steps)

        for task in tasks:
            tuned = []
            for name in task.axes:
                progress.update(bar, description=f"{task.name}: {name}")
                tuned.append(tune(task, name, seeds[0], advance))
            # By turns, so that what else the machine does meanwhile slows all of them.
            for seed in seeds[1:]:
                for t in tuned:
                    progress.update(bar, description=f"{task.name}: {t.optimiser}")
                    t.runs.append(run_trial(task, t.optimiser, t.best, seed, advance))
            results.append(tuned)
    return results


def show(tasks: list[Task], tuned: list[list[Tuned]], quick: bool, console: Console) -> None:
    """Print the tables and the promise.

    Parameters
    ----------
    tasks : list of Task
    tuned : list of lists of Tuned
    quick : bool
    console : rich.console.Console
    """
    if quick:
        console.print(
            "[bold]Quick version:[/] one seed, a fifth of the steps, three values a grid, no fair comparison."
        )
    for task, results in zip(tasks, tuned, strict=True):
        console.print(comparison_table(task, results, compare(results)))
    kfac_runs = {task.name: _kfac(results) for task, results in zip(tasks, tuned, strict=True)}
    console.print(phase_table(kfac_runs))
    console.print(f"[bold]K-FAC on the {tasks[0].name}[/], seed by seed,")
    for line in promise_lines(promises(tuned[0])):
        console.print(line, highlight=False, soft_wrap=True)


def as_numbers(tasks: list[Task], tuned: list[list[Tuned]], quick: bool) -> dict[str, Any]:
    """Collect everything that was measured in what JSON can hold.

    Parameters
    ----------
    tasks : list of Task
    tuned : list of lists of Tuned
    quick : bool

    Returns
    -------
    dict
    """
    return {
        "quick": quick,
        "cores": os.cpu_count(),
        "curvblas": cb.info(),
        "promises": [asdict(promise) | {"kept": promise.kept} for promise in promises(tuned[0])],
        "tasks": {
            task.name: {
                "loss": task.loss,
                "sizes": task.sizes,
                "comparison": asdict(compare(results)),
                "optimisers": [asdict(t) for t in results],
            }
            for task, results in zip(tasks, tuned, strict=True)
        },
    }


def _kfac(results: list[Tuned]) -> Tuned:
    return next(t for t in results if t.optimiser == KFAC)
