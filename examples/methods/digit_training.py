"""Training of a small network on the digits, step by step, with any rule for the direction; tuned over a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from curvblas.examples import network
from curvblas.examples.data import Data, minibatches
from curvblas.examples.first_order import Adam, Momentum, Rule
from curvblas.examples.network import Array, Layers
from curvblas.examples.outputs import SOFTMAX

EVERY = 5  # steps between two looks at the loss of all training cases
DIVERGED = 1e3


@dataclass(frozen=True)
class Batch:
    """A minibatch and what the network makes of it; lists have one array a layer.

    Attributes
    ----------
    weights : list of arrays, shapes (q, p)
        Before the step.
    rows : list of arrays, shapes (N, p - 1)
        What layers are fed with.
    scores, probabilities : arrays, shape (N, 10)
    derivatives : list of arrays, shapes (N, q)
        Of each case's own loss with respect to the pre-activations.
    grads : list of arrays, shapes (q, p)
        Of the mean loss.
    """

    weights: Layers
    rows: Layers
    scores: Array
    probabilities: Array
    derivatives: Layers
    grads: Layers


Direction = Callable[[Batch], Layers]


@dataclass(frozen=True)
class Method:
    """A name, how its direction is made of a setting (none: the gradient), and the grid: rates times settings."""

    name: str
    make: Callable[[float], Direction] | None
    rates: Sequence[float]
    settings: Sequence[float] = (0.0,)
    is_adam: bool = False


@dataclass(frozen=True)
class Trained:
    """Losses of all training cases, at step 0 and every `EVERY` steps, of the best of a grid or of one run."""

    method: Method
    rate: float
    setting: float
    losses: Array


def rates_between(low: float, high: float, count: int) -> list[float]:
    """Return so many rates, each the same multiple of the one before.

    Parameters
    ----------
    low, high : float > 0
    count : int

    Returns
    -------
    list of float
    """
    return [float(rate) for rate in np.geomspace(low, high, count)]


def look_at(weights: Layers, inputs: Array, targets: Array) -> Batch:
    """Run the network forward and backward.

    Parameters
    ----------
    weights : list of arrays, shapes (q, p)
    inputs, targets : arrays, shapes (N, n), (N, 10)

    Returns
    -------
    Batch
    """
    rows, scores = network.forward(weights, inputs)
    probabilities = SOFTMAX.mean(scores)
    derivatives = network.backward(weights, rows, probabilities - targets)
    return Batch(weights, rows, scores, probabilities, derivatives, network.gradients(rows, derivatives))


def train(
    method: Method, rate: float, setting: float, data: Data, weights: Layers, steps: int, size: int = 256
) -> Trained:
    """Take steps; the minibatches are the same for all methods.

    Parameters
    ----------
    method : Method
    rate, setting : float
    data : Data
        In float64, so that what is the same in exact arithmetic looks the same.
    weights : list of float64 arrays, shapes (q, p)
        To start from; not changed.
    steps, size : int
        Steps, and cases of a minibatch.

    Returns
    -------
    Trained
    """
    rule: Rule = Adam(weights, rate) if method.is_adam else Momentum(weights, rate)
    direction = method.make(setting) if method.make else lambda batch: batch.grads
    batches = minibatches(data, size, np.random.default_rng(3))
    losses = [loss(rule.weights, data)]
    for step in range(1, steps + 1):
        with np.errstate(over="ignore", invalid="ignore"):
            rule.update(direction(look_at(rule.weights, *next(batches))))
            if step % EVERY == 0:
                losses.append(loss(rule.weights, data))
        if not losses[-1] < DIVERGED:
            losses += [np.inf] * (steps // EVERY + 1 - len(losses))
            break
    return Trained(method, rate, setting, np.array(losses))


def loss(weights: Layers, data: Data) -> float:
    """Return the mean loss of all training cases, in nats.

    Parameters
    ----------
    weights : list of arrays, shapes (q, p)
    data : Data

    Returns
    -------
    float
    """
    return float(SOFTMAX.losses(network.forward(weights, data.inputs)[1], data.targets).mean())


def tune(method: Method, data: Data, weights: Layers, steps: int) -> Trained:
    """Try the whole grid, and return the run with the lowest final loss (the mean of the last two looks).

    Parameters
    ----------
    method : Method
    data : Data
    weights : list of float64 arrays, shapes (q, p)
    steps : int

    Returns
    -------
    Trained
    """
    grid = product(method.rates, method.settings)
    runs = [train(method, rate, setting, data, weights, steps) for rate, setting in grid]
    return min(runs, key=lambda run: float(np.nan_to_num(run.losses[-2:].mean(), nan=np.inf)))


def wide(data: Data) -> Data:
    """Return the training cases of data in float64.

    Parameters
    ----------
    data : Data

    Returns
    -------
    Data
    """
    x, y = np.float64(data.inputs), np.float64(data.targets)
    return Data(x, y, x, y)
