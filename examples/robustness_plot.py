"""The picture of the robustness table: performance profiles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from curvblas.examples.plot import STYLE
from curvblas.examples.race import Race, Run
from curvblas.examples.robustness_summary import profiles
from curvblas.examples.solvers import BFGS, CG, FEW, LBFGS, LBFGSB, LSR1, NEWTON, SR1_TRUST

# Hues of Okabe and Ito, as in the other pictures.
COLOURS = {
    LBFGS: "#D55E00",
    LSR1: "#CC79A7",
    LBFGSB: "#0072B2",
    CG: "#009E73",
    NEWTON: "#E69F00",
    BFGS: "#000000",
    SR1_TRUST: "#56B4E9",
}
WIDEST = 64
"""Ratios up to which the profiles are drawn."""


def save_profiles(races: Sequence[Race], path: Path) -> None:
    """Draw the profiles of evaluations and of time, for few and for many variables.

    Parameters
    ----------
    races : sequence of Race
    path : pathlib.Path
        Of the PNG file.
    """
    few = [race for race in races if race.problem.n <= FEW]
    many = [race for race in races if race.problem.n > FEW]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 9), layout="constrained")
        panels = figure.subplots(2, 2, sharex=True, sharey=True)
        for row, part, words in zip(panels, (few, many), (f"up to {FEW} variables", "more variables"), strict=True):
            for axes, measure, of in zip(row, (Run.evaluations, Run.time), ("evaluations", "time"), strict=True):
                _draw_profiles(axes, part, measure)
                axes.set_title(f"{of}, {words} ({len(part)} problems)")
        panels[1, 0].set_xlabel("ratio to the fewest evaluations")
        panels[1, 1].set_xlabel("ratio to the least processor time")
        for axes in panels[:, 0]:
            axes.set_ylabel("share of problems solved within the ratio")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=13)
        figure.savefig(path, dpi=130)


def _draw_profiles(axes: Any, races: Sequence[Race], measure: Any) -> None:
    shares = np.arange(1, len(races) + 1) / len(races)
    for name, ratios in profiles(races, measure).items():
        later = np.isfinite(ratios) & (ratios > 1)
        # From the share at ratio 1, a step up at each later one, and on to the edge of the panel.
        x = np.concatenate([[1.0], ratios[later], [2.0 * WIDEST]])
        y = np.concatenate([[np.mean(ratios <= 1)], shares[later], [np.mean(np.isfinite(ratios))]])
        axes.plot(x, y, drawstyle="steps-post", color=COLOURS[name], lw=2.2, label=name)
    axes.set_xscale("log", base=2)
    axes.set(xlim=(1, WIDEST), ylim=(0, 1.02))
    axes.xaxis.set_major_formatter("{x:g}")
