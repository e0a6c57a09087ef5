"""The pictures of the low-rank examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from curvblas.examples.contest import Contest
from curvblas.examples.plot import COLOURS, INK, STYLE, draw_curves, loss_limits
from curvblas.examples.tuning import Tuned


def save_panels(contests: list[Contest], tuned: list[list[Tuned]], path: Path) -> None:
    """Draw a row of two panels for each contest: loss against steps, and against seconds.

    Parameters
    ----------
    contests : list of Contest
    tuned : list of lists of Tuned
    path : pathlib.Path
        Of the PNG file.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 4.2 * len(contests) + 0.4), layout="constrained")
        panels = figure.subplots(len(contests), 2, sharey="row", squeeze=False)
        for row, contest, results in zip(panels, contests, tuned, strict=True):
            _draw_row(row, contest, results)
        _add_legend(figure, panels[0, 0])
        figure.savefig(path, dpi=130)


def save_energies(contest: Contest, results: list[Tuned], ground: float, path: Path) -> None:
    """Draw the energy beside that of the ground state, and its error against steps and against seconds.

    Parameters
    ----------
    contest : Contest
    results : list of Tuned
    ground : float
        Exact energy of the ground state.
    path : pathlib.Path
        Of the PNG file.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(15, 4.6), layout="constrained")
        energies, *errors = figure.subplots(1, 3)
        _draw_row(errors, contest, results)
        for t in results:
            energy = ground * (1 - np.median([run.losses for run in t.runs], axis=0))
            energies.plot(t.runs[0].steps, energy, color=COLOURS[t.optimiser], lw=2.2)
        energies.axhline(ground, color=INK, lw=1.2, ls="--")
        energies.text(59, ground - 0.05, f"exact: {ground:.4f}", ha="right", va="top", color=INK)
        # The first steps: later the lines cannot be told from that of the ground state.
        energies.set(xlabel="steps", xlim=(0, 60), ylabel="energy", title="the first steps")
        energies.set_ylim(ground * 1.03, ground * 0.74)
        _add_legend(figure, errors[0])
        figure.savefig(path, dpi=130)


def _draw_row(panels: Any, contest: Contest, results: list[Tuned]) -> None:
    limits = loss_limits(results)
    for axes, against in zip(panels, ("steps", "seconds"), strict=True):
        axes.set_title(contest.name)
        draw_curves(axes, contest, results, against, limits)


def _add_legend(figure: Figure, axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=14)
