"""The numbers of the demonstration: losses at equal steps and at equal time, ratios of steps and of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

import numpy as np

from curvblas.examples.contest import ADAM, KFAC, SGD
from curvblas.examples.trial import Run
from curvblas.examples.tuning import Tuned


@dataclass(frozen=True)
class Row:
    """One optimiser on one task: medians over the seeds; ``spread`` is (smallest, largest)."""

    optimiser: str
    loss_at_equal_steps: float
    loss_at_equal_time: float
    final_loss: float
    spread: tuple[float, float]
    accuracy: float | None
    milliseconds: float


@dataclass(frozen=True)
class Comparison:
    """All optimisers on one task, after ``equal_steps`` steps and after ``equal_seconds`` seconds."""

    equal_steps: int
    equal_seconds: float
    rows: list[Row]


@dataclass(frozen=True)
class Promise:
    """How many times fewer steps and less time K-FAC needs for the final loss of a rival; one number a seed.

    A ratio is 0 where K-FAC did not reach that loss. ``time_asked`` is 0 where nothing is promised.
    """

    rival: str
    steps_asked: float
    time_asked: float
    steps: list[float]
    time: list[float]

    @property
    def kept(self) -> bool:
        """Whether every seed has the ratios that were promised."""
        return min(self.steps) >= self.steps_asked and min(self.time) >= self.time_asked


def compare(tuned: list[Tuned]) -> Comparison:
    """Compare the best runs of all optimisers on one task.

    Parameters
    ----------
    tuned : list of Tuned

    Returns
    -------
    Comparison
        At the largest number of steps, and the longest time, that every optimiser has seen.
    """
    equal_steps = min(_median(run.steps[-1] for run in t.runs) for t in tuned)
    equal_seconds = min(_median(run.seconds[-1] for run in t.runs) for t in tuned)
    rows = []
    for t in tuned:
        finals = [run.final_loss for run in t.runs]
        accuracies = [run.accuracy for run in t.runs if run.accuracy is not None]
        row = Row(
            optimiser=t.optimiser,
            loss_at_equal_steps=_median(np.interp(equal_steps, run.steps, run.losses) for run in t.runs),
            loss_at_equal_time=_median(np.interp(equal_seconds, run.seconds, run.losses) for run in t.runs),
            final_loss=_median(finals),
            spread=(min(finals), max(finals)),
            accuracy=_median(accuracies) if accuracies else None,
            milliseconds=_median(1e3 * run.seconds[-1] / max(run.steps[-1], 1) for run in t.runs),
        )
        rows.append(row)
    return Comparison(int(equal_steps), equal_seconds, rows)


def promises(tuned: list[Tuned]) -> list[Promise]:
    """Measure what the demonstration promises of the digits autoencoder.

    Parameters
    ----------
    tuned : list of Tuned
        Of that task.

    Returns
    -------
    list of Promise
        Against SGD with momentum, and against Adam.
    """
    runs = {t.optimiser: t.runs for t in tuned}
    result = []
    for rival, steps_asked, time_asked in ((SGD, 8.0, 2.0), (ADAM, 5.0, 0.0)):
        measured = [ratios(ours, theirs) for ours, theirs in zip(runs[KFAC], runs[rival], strict=True)]
        steps, time = zip(*measured, strict=True)
        result.append(Promise(rival, steps_asked, time_asked, list(steps), list(time)))
    return result


def ratios(ours: Run, theirs: Run) -> tuple[float, float]:
    """Tell how many times fewer steps and less time we needed for the final loss of a rival.

    Parameters
    ----------
    ours, theirs : Run

    Returns
    -------
    steps, time : float
        0 where that loss was not reached.
    """
    for step, seconds, loss in zip(ours.steps, ours.seconds, ours.losses, strict=True):
        # A rival that failed has an infinite loss, which is reached before the first step and says nothing.
        if step > 0 and not theirs.failure and loss <= theirs.final_loss:
            return theirs.steps[-1] / step, theirs.seconds[-1] / seconds
    return 0.0, 0.0


def phase_shares(runs: list[Run]) -> dict[str, float]:
    """Average the shares of a K-FAC step over runs.

    Parameters
    ----------
    runs : list of Run

    Returns
    -------
    dict of str to float
        Seconds in each phase per second of all phases.
    """
    total = sum(sum(run.phases.values()) for run in runs)
    phases = {phase for run in runs for phase in run.phases}
    return {phase: sum(run.phases.get(phase, 0.0) for run in runs) / total for phase in sorted(phases)}


def _median(values: Iterable[float]) -> float:
    return float(median(values))
