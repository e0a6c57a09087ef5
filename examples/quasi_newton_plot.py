"""The pictures of the quasi-Newton examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from curvblas.examples.contest import Contest
from curvblas.examples.logistic import TOLERANCE, Course
from curvblas.examples.plot import INK, STYLE, draw_curves, loss_limits
from curvblas.examples.robustness_plot import COLOURS
from curvblas.examples.solvers import LBFGS
from curvblas.examples.tuning import Tuned

FLOOR = 1e-5
"""Lower losses are of scans that are known by heart, and are not drawn."""


def save_digits(contests: Sequence[Contest], tuned: list[list[Tuned]], path: Path) -> None:
    """Draw a row of two panels for each contest: loss against epochs, and against seconds.

    Parameters
    ----------
    contests : sequence of Contest
    tuned : list of lists of Tuned
    path : pathlib.Path
        Of the PNG file.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 4.2 * len(contests) + 0.8), layout="constrained")
        panels = figure.subplots(len(contests), 2, sharey="row", squeeze=False)
        for row, contest, results in zip(panels, contests, tuned, strict=True):
            lowest, highest = loss_limits(results)
            for axes, against in zip(row, ("steps", "seconds"), strict=True):
                draw_curves(axes, contest, results, against, (max(lowest, FLOOR), highest))
                axes.set_title(contest.name)
            row[0].set_xlabel("epochs")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=13)
        figure.savefig(path, dpi=130)


def save_gradients(regressions: dict[float, dict[str, Course]], path: Path) -> None:
    """Draw the norm of the gradient against evaluations with Hessian products, a panel for each ridge.

    Parameters
    ----------
    regressions : dict of float to dict of str to Course
    path : pathlib.Path
        Of the PNG file.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 5.2), layout="constrained")
        panels = figure.subplots(1, len(regressions), sharey=True, squeeze=False)[0]
        for axes, (ridge, runs) in zip(panels, regressions.items(), strict=True):
            for name, course in runs.items():
                evaluations = np.arange(1, len(course.gradients) + 1) + course.products
                lowest = np.minimum.accumulate(course.gradients)
                # Dashed and on top, where it goes the way of SciPy's L-BFGS-B.
                dashes = {"ls": (0, (3, 2)), "zorder": 3} if name == LBFGS else {}
                axes.plot(evaluations, lowest, color=COLOURS[name], lw=2.2, label=name, **dashes)
            axes.axhline(TOLERANCE, color=INK, lw=1.2, ls="--")
            axes.set(xscale="log", yscale="log", xlabel="evaluations and Hessian products", title=f"ridge {ridge:g}")
            axes.set_ylim(TOLERANCE / 3, 1.5)
            axes.xaxis.set_major_formatter("{x:g}")
        panels[0].set_ylabel("lowest |g| so far, over that at the start")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=13)
        figure.savefig(path, dpi=130)
