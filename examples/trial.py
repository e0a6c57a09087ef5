"""One training run, with its loss against steps and against the time that the optimiser itself took."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from curvblas.examples.contest import Contest, Training, Value

EVALUATIONS = 75


@dataclass
class Run:
    """What one run did.

    ``losses[i]`` was measured after ``steps[i]`` steps, which took ``seconds[i]``, evaluation not counted. That is
    processor time of the one thread, because other work on the machine would lengthen the time on the wall.
    ``failure`` tells why a run ended early, and is empty otherwise.
    """

    value: Value
    seed: int
    steps: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    accuracy: float | None = None
    failure: str = ""
    phases: dict[str, float] = field(default_factory=dict)
    repaired: int = 0

    @property
    def final_loss(self) -> float:
        """Median of the last five evaluations, as single steps are noisy; infinite if the run failed."""
        return np.inf if self.failure else float(np.median(self.losses[-5:]))


def run_trial(contest: Contest, name: str, value: Value, seed: int, advance: Callable[[int], None]) -> Run:
    """Train once and watch.

    Parameters
    ----------
    contest : Contest
    name : str
        One of its optimisers.
    value : tuple of float
        The settings of that optimiser.
    seed : int
        Of the weights, and of all that is drawn later.
    advance : callable
        Told now and then how many steps more are behind us.

    Returns
    -------
    Run
    """
    total = contest.steps_of(name)
    every = max(2, total // EVALUATIONS)
    training = contest.start(name, value, seed)
    run = Run(value, seed)
    _evaluate(run, training, 0, 0.0)
    seconds = 0.0
    # A rate that is too large overflows before it is found out below: that is a result here, not a warning.
    with np.errstate(over="ignore", invalid="ignore"):
        while not run.failure and run.steps[-1] < total:
            count = min(every, total - run.steps[-1])
            try:
                seconds += training.advance(count)
            except FloatingPointError as error:
                run.failure = str(error)
                break
            _evaluate(run, training, run.steps[-1] + count, seconds)
            advance(count)
    advance(total - run.steps[-1])
    return replace(run, **training.results())


def _evaluate(run: Run, training: Training, step: int, seconds: float) -> None:
    loss = training.loss()
    if not np.isfinite(loss):
        run.failure = f"the loss was not finite after {step} steps"
        return
    run.steps.append(step)
    run.seconds.append(seconds)
    run.losses.append(loss)
