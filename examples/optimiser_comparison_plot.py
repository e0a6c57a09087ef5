"""The picture of the comparison: loss against passes and against seconds, a hue for each family of optimisers."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from scipy.special import entr
from sklearn.isotonic import isotonic_regression

from curvblas.examples.network import Array
from curvblas.examples.optimiser_comparison_contest import FAMILIES, OptimiserContest
from curvblas.examples.plot import STYLE
from curvblas.examples.tuning import Tuned

HUES = ("#0072B2", "#D55E00", "#CC79A7", "#009E73", "#000000")
LINES = ("-", "--", ":")
LOOKS = {
    name: (hue, line)
    for hue, names in zip(HUES, FAMILIES.values(), strict=True)
    for name, line in zip(names, LINES, strict=True)
}
GAP = 0.037  # between two labels, as a share of the height


def entropy(means: Array) -> float:
    """Return the lowest mean loss that Bernoulli outputs can have on targets.

    Parameters
    ----------
    means : array, shape (N, o)
        The targets, in [0, 1].

    Returns
    -------
    float
        In nats per case, summed over the outputs.
    """
    y = means.astype(np.float64)
    return float((entr(y) + entr(1 - y)).sum(axis=1).mean())


def save_curves(contest: OptimiserContest, tuned: list[Tuned], path: Path) -> None:
    """Draw the medians over the seeds, with the names at the ends of the curves.

    Parameters
    ----------
    contest : OptimiserContest
    tuned : list of Tuned
    path : pathlib.Path
        Of the PNG file.
    """
    floor = entropy(contest.data.reported_targets)
    # Medians, as the curves are: a seed that diverged shall not set the range.
    ends = [median(run.losses[-1] for run in t.runs) - floor for t in tuned]
    limits = 0.6 * min(ends), 1.3 * max(ends)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(17, 8), layout="constrained")
        for axes, against in zip(figure.subplots(1, 2), ("steps", "seconds"), strict=True):
            _draw(axes, tuned, against, floor, limits)
            axes.set_ylabel("nats per scan above the entropy of the scans")
        figure.axes[0].set(title="equal passes over the data", xlabel="passes over the data")
        figure.axes[1].set(title="the same runs against time", xlabel="seconds of the optimiser's processor time")
        handles = [
            mpl.lines.Line2D([], [], color=hue, lw=4, label=family) for family, hue in zip(FAMILIES, HUES, strict=True)
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=len(HUES), frameon=False, fontsize=14)
        figure.savefig(path, dpi=110)


def _draw(axes: Any, tuned: list[Tuned], against: str, floor: float, limits: tuple[float, float]) -> None:
    ends = []
    left = np.inf
    for t in tuned:
        runs = [run for run in t.runs if not run.failure]
        if not runs:
            continue
        # The first point, at 0, has no place on a logarithmic axis.
        x = np.median([getattr(run, against) for run in runs], axis=0)[1:]
        loss = np.median([run.losses for run in runs], axis=0)[1:] - floor
        hue, line = LOOKS[t.optimiser]
        axes.plot(x, loss, color=hue, ls=line, lw=2.2)
        axes.plot(x[-1], loss[-1], "o", color=hue, ms=4)
        ends.append((t.optimiser, x[-1], loss[-1]))
        left = min(left, x[0])
    axes.set(xscale="log", yscale="log", ylim=limits, xlim=(left, 2.6 * max(x for _, x, _ in ends)))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    _label(axes, ends, limits)


def _label(axes: Any, ends: list[tuple[str, float, float]], limits: tuple[float, float]) -> None:
    ends = sorted(ends, key=lambda end: end[2])
    heights = np.log(np.array([loss for _, _, loss in ends]) / limits[0]) / np.log(limits[1] / limits[0])
    for (name, x, loss), height in zip(ends, spread(heights, GAP), strict=True):
        hue = LOOKS[name][0]
        axes.annotate(
            name,
            (x, loss),
            (1.12 * x, limits[0] * (limits[1] / limits[0]) ** height),
            color=hue,
            va="center",
            fontsize=11.5,
            bbox={"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 0.5},
            arrowprops={"arrowstyle": "-", "color": hue, "lw": 0.6, "alpha": 0.6, "shrinkA": 0},
        )


def spread(heights: Array, gap: float) -> Array:
    """Move heights, in rising order, as little as keeps them apart and within 0 and 1.

    Parameters
    ----------
    heights : array, shape (n,)
    gap : float
        At most 1 / n.

    Returns
    -------
    array, shape (n,)
    """
    offsets = gap * np.arange(len(heights))
    moved = isotonic_regression(np.asarray(heights) - offsets)
    return np.asarray(np.clip(moved, gap / 2, 1 - gap / 2 - offsets[-1]) + offsets)
