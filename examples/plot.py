"""The picture of the demonstration: loss against steps and against seconds, for every task."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from curvblas.examples.contest import (
    ADAM,
    ADAM_256,
    ADAM_ALL,
    GAUSS_NEWTON,
    KALDI,
    KFAC,
    LBFGS,
    LBFGS_THIRDS,
    LSR1,
    LSR1_THIRDS,
    MINSR,
    SGD,
    SPRING,
    TONGA,
    Contest,
)
from curvblas.examples.summary import Promise
from curvblas.examples.tasks import Task
from curvblas.examples.tuning import Tuned

# Hues of Okabe and Ito, which people with any colour vision can tell apart; one for what is solved in sample space.
COLOURS = {
    SGD: "#0072B2",
    ADAM: "#009E73",
    KFAC: "#D55E00",
    TONGA: "#CC79A7",
    KALDI: "#E69F00",
    GAUSS_NEWTON: "#000000",
    MINSR: "#000000",
    SPRING: "#D55E00",
    LBFGS: "#D55E00",
    LSR1: "#CC79A7",
    ADAM_ALL: "#0072B2",
    ADAM_256: "#009E73",
    LBFGS_THIRDS: "#E69F00",
    LSR1_THIRDS: "#000000",
}
INK = "#444444"
STYLE: dict[Any, Any] = {
    "font.size": 12,
    "axes.titlesize": 14,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
}


def save_plot(tasks: list[Task], tuned: list[list[Tuned]], promise: Promise, path: Path) -> None:
    """Draw the median over the seeds as a line and their range as a band.

    Parameters
    ----------
    tasks : list of Task
    tuned : list of lists of Tuned
        The optimisers of each task.
    promise : Promise
        Of the first task, marked in its panels.
    path : pathlib.Path
        Of the PNG file.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.8 * len(tasks), 7.6), layout="constrained")
        panels = figure.subplots(2, len(tasks), sharey="col", squeeze=False)
        for column, (task, results) in enumerate(zip(tasks, tuned, strict=True)):
            above, below = panels[:, column]
            above.set_title(task.name)
            limits = loss_limits(results)
            draw_curves(above, task, results, "steps", limits)
            draw_curves(below, task, results, "seconds", limits)
        rival = next(t for t in tuned[0] if t.optimiser == promise.rival)
        _mark_promise(panels[0, 0], rival, "steps", promise.steps, "in 1/{:.0f} of the steps")
        _mark_promise(panels[1, 0], rival, "seconds", promise.time, "in 1/{:.1f} of the time")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=14)
        figure.savefig(path, dpi=130)


def loss_limits(results: list[Tuned]) -> tuple[float, float]:
    """Choose the range of the axis of losses.

    Parameters
    ----------
    results : list of Tuned

    Returns
    -------
    lowest, highest : float
    """
    losses = np.array([loss for t in results for run in t.runs for loss in run.losses])
    losses = losses[np.isfinite(losses)]
    lowest, highest = losses.min(), np.quantile(losses, 0.99)
    # Losses that do not tend to 0 differ by little where it matters: cut off the steep beginning.
    return (lowest, highest) if lowest < 0.1 else (0.98 * lowest, 1.35 * lowest)


def draw_curves(axes: Any, task: Contest, results: list[Tuned], against: str, limits: tuple[float, float]) -> None:
    """Draw the losses of one contest: medians over the seeds, and their range.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    task : Contest
    results : list of Tuned
    against : {"steps", "seconds"}
    limits : (float, float)
        From `loss_limits`.
    """
    left = np.inf
    for t in results:
        runs = [run for run in t.runs if not run.failure]
        if not runs:
            continue
        # The first point, at 0, has no place on a logarithmic axis.
        x = np.median([getattr(run, against) for run in runs], axis=0)[1:]
        losses = np.array([run.losses for run in runs])[:, 1:]
        middle = np.median(losses, axis=0)
        colour = COLOURS[t.optimiser]
        axes.fill_between(x, losses.min(axis=0), losses.max(axis=0), color=colour, alpha=0.2, lw=0)
        axes.plot(x, middle, color=colour, lw=2.2, label=t.optimiser)
        left = min([left, *x[middle <= limits[1]]])
    axes.set(xscale="log", xlabel=against, xlim=(0.8 * left, None))
    axes.set(yscale="log" if limits[0] < 0.1 else "linear", ylabel=task.loss, ylim=limits)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _mark_promise(axes: Any, rival: Tuned, against: str, ratios: list[float], words: str) -> None:
    ratio = median(ratios)
    if not ratio:
        return
    level = median(run.final_loss for run in rival.runs)
    end = median(getattr(run, against)[-1] for run in rival.runs)
    arrow = {"arrowstyle": "->", "color": INK, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (end / ratio, level), (end, level), arrowprops=arrow)
    sentence = f"K-FAC reaches\nthe final loss of\n{rival.optimiser}\n{words.format(ratio)}"
    axes.text(0.99, 0.98, sentence, transform=axes.transAxes, ha="right", va="top", color=INK)
