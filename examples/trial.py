"""One training run, with its loss against steps and against the time that the optimiser itself took."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

import numpy as np

from curvblas.examples.data import minibatches
from curvblas.examples.first_order import Adam, Momentum
from curvblas.examples.kfac import KFAC
from curvblas.examples.network import Array, Layers, forward, initial_weights
from curvblas.examples.tasks import ADAM, SGD, Task

EVALUATIONS = 75


class Optimiser(Protocol):
    """Anything that improves its ``weights`` on one minibatch at a time."""

    weights: Layers

    def step(self, inputs: Array, targets: Array) -> None:
        """Take one step on a minibatch."""


@dataclass
class Run:
    """What one run did.

    ``losses[i]`` was measured after ``steps[i]`` steps, which took ``seconds[i]``, evaluation not counted.
    ``failure`` tells why a run ended early, and is empty otherwise.
    """

    value: float
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


def make_optimiser(name: str, task: Task, value: float, seed: int) -> Momentum | Adam | KFAC:
    """Set up an optimiser; equal seeds start from equal weights.

    Parameters
    ----------
    name : str
        One of `tasks.OPTIMISERS`.
    task : Task
    value : float
        Learning rate, or initial damping for K-FAC.
    seed : int

    Returns
    -------
    Momentum, Adam or KFAC
    """
    weights = initial_weights(task.sizes, np.random.default_rng(seed))
    if name == SGD:
        return Momentum(weights, task.output, value)
    if name == ADAM:
        return Adam(weights, task.output, value)
    return KFAC(weights, task.output, value, np.random.default_rng([seed, 1]))


def run_trial(task: Task, name: str, value: float, seed: int, advance: Callable[[int], None]) -> Run:
    """Train once and watch.

    Parameters
    ----------
    task : Task
    name : str
        One of `tasks.OPTIMISERS`.
    value : float
        Learning rate, or initial damping for K-FAC.
    seed : int
        Of the weights, of the order of the cases (the same for every optimiser) and of K-FAC's samples.
    advance : callable
        Told now and then how many steps more are behind us.

    Returns
    -------
    Run
    """
    total = task.steps_of(name)
    every = max(2, total // EVALUATIONS)
    optimiser = make_optimiser(name, task, value, seed)
    batches = minibatches(task.data, task.batch, np.random.default_rng([seed, 2]))
    run = Run(value, seed)
    _evaluate(run, task, optimiser, 0, 0.0)
    seconds = 0.0
    # A rate that is too large overflows before it is found out below: that is a result here, not a warning.
    with np.errstate(over="ignore", invalid="ignore"):
        while not run.failure and run.steps[-1] < total:
            try:
                count = min(every, total - run.steps[-1])
                seconds += _timed_steps(optimiser, [next(batches) for _ in range(count)])
            except FloatingPointError as error:
                run.failure = str(error)
                break
            _evaluate(run, task, optimiser, run.steps[-1] + count, seconds)
            advance(count)
    advance(total - run.steps[-1])
    _finish(run, task, optimiser)
    return run


def _timed_steps(optimiser: Optimiser, batches: list[tuple[Array, Array]]) -> float:
    start = perf_counter()
    for inputs, targets in batches:
        optimiser.step(inputs, targets)
    return perf_counter() - start


def _evaluate(run: Run, task: Task, optimiser: Optimiser, step: int, seconds: float) -> None:
    natural = forward(optimiser.weights, task.data.reported_inputs)[1]
    loss = float(task.output.losses(natural, task.data.reported_targets).mean(dtype=np.float64))
    if not np.isfinite(loss):
        run.failure = f"the loss was not finite after {step} steps"
        return
    run.steps.append(step)
    run.seconds.append(seconds)
    run.losses.append(loss)


def _finish(run: Run, task: Task, optimiser: Momentum | Adam | KFAC) -> None:
    if isinstance(optimiser, KFAC):
        run.phases = optimiser.watch.seconds
        run.repaired = optimiser.repaired
    if task.data.test_inputs is not None:
        natural = forward(optimiser.weights, task.data.test_inputs)[1]
        run.accuracy = float((natural.argmax(axis=1) == task.data.test_labels).mean())
