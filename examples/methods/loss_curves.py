"""Runs of optimisers against each other: losses after so many steps and seconds, and curves of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from curvblas.examples.network import Array

HIGHEST = 1.6
"""Losses are drawn up to this many times the lowest one."""


@dataclass
class Trial:
    """One run: losses after so many steps and seconds of training."""

    name: str
    setting: tuple[float, ...]
    steps: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    @property
    def rank(self) -> float:
        """What the best trial has the least of: the last loss."""
        return self.losses[-1] if np.isfinite(self.losses[-1]) else np.inf


def record(
    trial: Trial,
    steps: int,
    batches: Iterable[tuple[Array, Array]],
    step: Callable[[Array, Array], None],
    loss: Callable[[], float],
) -> Trial:
    """Train, and look at the loss now and then.

    Parameters
    ----------
    trial : Trial
        To be filled.
    steps : int
    batches : iterable of (inputs, targets)
    step : callable
        Takes a minibatch; it is timed.
    loss : callable
        Evaluates the loss; it is not.

    Returns
    -------
    Trial
    """
    seconds, watched = 0.0, np.unique(np.geomspace(4, steps, 12).astype(int))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # too high rates diverge
        for k, batch in zip(range(1, steps + 1), batches, strict=False):
            begin = perf_counter()
            step(*batch)
            seconds += perf_counter() - begin
            if k in watched:
                trial.steps.append(k)
                trial.seconds.append(seconds)
                trial.losses.append(loss())
    return trial


def crossing(trial: Trial, level: float, against: str) -> float:
    """Tell when a loss was reached first.

    Parameters
    ----------
    trial : Trial
    level : float
        The loss.
    against : {"steps", "seconds"}

    Returns
    -------
    float
        Interpolated; infinite if it was not reached.
    """
    losses = np.fmin.accumulate(trial.losses)
    return float(np.interp(-level, -losses, getattr(trial, against))) if losses[-1] <= level else np.inf


def draw(axes: Any, trials: list[Trial], hues: dict[str, str], against: str) -> None:
    """Draw the losses of trials.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    trials : list of Trial
    hues : dict of str to str
        A colour for each name.
    against : {"steps", "seconds"}
    """
    lowest = min(trial.rank for trial in trials)
    for trial in trials:
        axes.plot(getattr(trial, against), trial.losses, color=hues[trial.name], lw=2.4, label=trial.name)
    left = min(crossing(trial, HIGHEST * lowest, against) for trial in trials)
    axes.set(xscale="log", xlabel=against, xlim=(left, None), ylim=(0.98 * lowest, HIGHEST * lowest))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
