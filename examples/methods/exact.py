"""A deep and narrow network on digits: exact natural gradients by the Fisher matrix, and by the empirical one.

Both are steps of `NaturalGradient`, with rows whose Gram matrix the curvature is: for the Fisher matrix ten a case, for
the empirical one the gradient of the case. SGD and Adam see as many cases, in minibatches of a size of their own.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from time import thread_time

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from curvblas.examples.contest import ADAM, KFAC, SGD
from curvblas.examples.data import Data, digits_to_classify, minibatches
from curvblas.examples.first_order import Adam, Momentum, mean_gradient
from curvblas.examples.network import Array, Layers, backward, forward, initial_weights
from curvblas.examples.outputs import SOFTMAX
from curvblas.examples.plot import COLOURS, INK, STYLE
from curvblas.methods import exact, families

SIZES = (64, 8, 8, 8, 10)
DIM = sum((p + 1) * q for p, q in itertools.pairwise(SIZES))
CASES = 128
"""In the minibatches of the natural gradients."""
LONGER = 20
"""Times as many epochs, for which SGD and Adam are tuned once more, to be compared by seconds."""
FISHER, EMPIRICAL = "natural gradient, Fisher", "natural gradient, empirical Fisher"
COLOUR = {FISHER: COLOURS[KFAC], EMPIRICAL: "#000000", ADAM: COLOURS[ADAM], SGD: COLOURS[SGD]}
GRIDS: dict[str, tuple[tuple[float, ...], ...]] = {
    FISHER: ((0.1, 0.3, 1.0, 3.0), (0.9,)),
    EMPIRICAL: ((0.1, 0.3, 1.0, 3.0), (0.9,)),
    ADAM: ((1e-3, 3e-3, 1e-2, 3e-2), (32, 128)),
    SGD: ((0.03, 0.1, 0.3, 1.0), (32, 128)),
}
"""Of the natural gradients the damping at the start, and what past matrices keep; else rates, and cases.

With the matrix of a minibatch alone, which is poor with 128 cases for 754 weights, natural gradients diverge.
"""


@dataclass(frozen=True)
class Course:
    """Loss of all training cases after each epoch, seconds, and the damping after each step, if there is one."""

    setting: tuple[float, ...]
    losses: Array
    seconds: Array
    dampings: Array
    errors: float

    @property
    def final(self) -> float:
        """The last loss, by which settings are chosen; infinite where training failed."""
        return float(self.losses[-1]) if np.isfinite(self.losses).all() else np.inf


def run(quick: bool, output: Path) -> str:
    """Tune and train all four, and draw their losses.

    Parameters
    ----------
    quick : bool
        A quarter of the epochs, and two settings each.
    output : pathlib.Path
        Directory of ``method_exact.png``.

    Returns
    -------
    str
        A paragraph of Markdown.
    """
    data, epochs = digits_to_classify(), 3 if quick else 12
    courses = {name: _tuned(name, data, epochs, quick) for name in GRIDS}
    longer = {name: _tuned(name, data, LONGER * epochs, quick) for name in (ADAM, SGD)}
    _save(courses, {**courses, **longer}, output / "method_exact.png")
    return _words(courses, longer, epochs)


def _tuned(name: str, data: Data, epochs: int, quick: bool) -> Course:
    settings = list(itertools.product(*GRIDS[name]))
    chosen = settings[:3:2] if quick else settings
    return min((_train(name, setting, data, epochs) for setting in chosen), key=lambda course: course.final)


def _train(name: str, setting: tuple[float, ...], data: Data, epochs: int) -> Course:
    rng = np.random.default_rng(0)
    weights = [W.astype(np.float64) for W in initial_weights(SIZES, rng)]
    is_natural = name in {FISHER, EMPIRICAL}
    size = CASES if is_natural else int(setting[1])
    batches = minibatches(data, size, rng)
    learner: _Natural | _FirstOrder
    if is_natural:
        learner = _Natural(weights, name == FISHER, *setting)
    else:
        learner = _FirstOrder(Momentum(weights, setting[0]) if name == SGD else Adam(weights, setting[0]))
    losses, seconds, dampings = [_loss(learner.weights, data.inputs, data.targets)], [0.0], []
    for _ in range(epochs):
        start = thread_time()
        for _ in range(len(data.inputs) // size):
            with np.errstate(all="ignore"):
                learner.step(*(x.astype(np.float64) for x in next(batches)))
            dampings.append(learner.damping)
        seconds.append(seconds[-1] + thread_time() - start)
        losses.append(_loss(learner.weights, data.inputs, data.targets))
    found = forward(learner.weights, np.float64(data.test_inputs))[1].argmax(axis=1)
    errors = float((found != data.test_labels).mean())
    return Course(setting, np.array(losses), np.array(seconds), np.array(dampings), errors)


class _Natural:
    """Steps of `NaturalGradient` on the network, with either matrix."""

    def __init__(self, weights: Layers, is_fisher: bool, damping: float, decay: float) -> None:
        self.weights, self._is_fisher = weights, is_fisher
        self._method = exact.NaturalGradient(DIM, damping=damping, decay=decay)

    @property
    def damping(self) -> float:
        return self._method.damping

    def step(self, inputs: Array, targets: Array) -> None:
        family = families.Categorical()
        activations, outputs = forward(self.weights, inputs)
        jacobian = _jacobian(self.weights, activations, outputs)
        if self._is_fisher:
            rows = exact.fisher_rows(jacobian, family, outputs)
            errors = exact.whitened_errors(family, outputs, targets)
        else:
            rows = -np.einsum("no,nop->np", family.score(outputs, targets), jacobian) / np.sqrt(len(inputs))
            errors = np.full(len(inputs), 1 / np.sqrt(len(inputs)))
        before = float(SOFTMAX.losses(outputs, targets).mean())
        moved = _added(self.weights, self._method.step(rows, errors))
        after = _loss(moved, inputs, targets)
        self._method.adapt(before, after)
        if after < 2 * before:  # a step that makes the loss worse than that is not taken
            self.weights = moved


class _FirstOrder:
    """SGD with momentum, or Adam."""

    damping = np.nan

    def __init__(self, rule: Momentum | Adam) -> None:
        self._rule = rule

    @property
    def weights(self) -> Layers:
        return self._rule.weights

    def step(self, inputs: Array, targets: Array) -> None:
        self._rule.update(mean_gradient(self.weights, SOFTMAX, inputs, targets))


def _loss(weights: Layers, inputs: Array, targets: Array) -> float:
    with np.errstate(all="ignore"):
        return float(SOFTMAX.losses(forward(weights, np.float64(inputs))[1], targets).mean())


def _jacobian(weights: Layers, activations: Layers, outputs: Array) -> Array:
    """Differentiate the outputs of each case: a backward pass for each output."""
    N, o = outputs.shape
    ones = np.ones((N, 1))
    inputs = [np.hstack([a, ones]) for a in activations]
    jacobian = np.empty((N, o, DIM))
    for k in range(o):
        g = backward(weights, activations, np.broadcast_to(np.eye(o)[k], (N, o)))
        blocks = [(d[:, :, None] * a[:, None, :]).reshape(N, -1) for d, a in zip(g, inputs, strict=True)]
        jacobian[:, k] = np.hstack(blocks)
    return jacobian


def _added(weights: Layers, step: Array) -> Layers:
    ends = np.cumsum([W.size for W in weights])[:-1]
    return [W + part.reshape(W.shape) for W, part in zip(weights, np.split(step, ends), strict=True)]


def _save(courses: dict[str, Course], longer: dict[str, Course], path: Path) -> None:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12, 4.8), layout="constrained")
        by_epoch, by_second, right = figure.subplots(1, 3)
        for name, course in courses.items():
            style = {"color": COLOUR[name], "lw": 2.2}
            by_epoch.plot(course.losses, label=name, **style)
            by_second.plot(longer[name].seconds[1:], longer[name].losses[1:], **style)
            if name in {FISHER, EMPIRICAL}:
                right.plot(course.dampings, **style)
        by_epoch.xaxis.set_major_locator(MaxNLocator(integer=True))
        by_epoch.set(yscale="log", xlabel="epochs", ylabel="training loss, in nats", title="Against cases")
        by_second.set(xscale="log", yscale="log", xlabel="seconds", title="Against time")
        right.set(yscale="log", xlabel="steps", ylabel="damping", title="Damping, as it adapts")
        figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=12, labelcolor=INK)
        figure.savefig(path, dpi=130)


def _words(courses: dict[str, Course], longer: dict[str, Course], epochs: int) -> str:
    level = courses[FISHER].final
    errors = [100 * course.errors for course in courses.values()]
    rivals = " and ".join(f"{name} {_arrival(longer[name], level)}" for name in (ADAM, SGD))
    return (
        f"**Exact natural gradient** trains a tanh network of {DIM} weights in five layers on digits: after {epochs} "
        f"epochs its training loss is {level:.4f}, where the best settings of Adam and of SGD with momentum, given as "
        f"many cases, are at {courses[ADAM].final:.3f} and {courses[SGD].final:.3f}; with the empirical Fisher matrix "
        f"in its place the same steps end at {courses[EMPIRICAL].final:.3f}. Solving with a whole matrix takes its "
        f"time, {courses[FISHER].seconds[-1]:.2f} s for all epochs: tuned for {LONGER} times as many epochs, {rivals}. "
        f"The method is for cases that are few or expensive, and the yardstick for approximations that are cheaper. "
        f"Test errors are {min(errors):.1f} to {max(errors):.1f} % after {epochs} epochs, and need not follow the "
        f"training loss."
    )


def _arrival(course: Course, level: float) -> str:
    there = np.flatnonzero(course.losses <= level)
    if not there.size:
        return f"does not reach that loss in {len(course.losses) - 1} epochs ({course.seconds[-1]:.2f} s)"
    return f"reaches that loss in {there[0]} epochs ({course.seconds[there[0]]:.2f} s)"
