"""Unitwise metrics on the digits: as dark pixels on white paper and as white ones on black, which are the same task."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from curvblas.examples import network
from curvblas.examples.data import Data, digits_to_classify
from curvblas.examples.methods.digit_training import (
    EVERY,
    Batch,
    Direction,
    Method,
    Trained,
    rates_between,
    train,
    tune,
    wide,
)
from curvblas.examples.network import Array, Layers
from curvblas.examples.plot import INK, STYLE
from curvblas.methods import unitwise

SIZES = (64, 40, 40, 10)
SGD, ADAM, OUTER, BACKPROPAGATED, NATURAL = (
    "SGD with momentum",
    "Adam",
    "quasi-diagonal, outer product",
    "quasi-diagonal, backpropagated metric",
    "unitwise natural gradient, sampled",
)
COLOURS = {SGD: "#0072B2", ADAM: "#009E73", OUTER: "#E69F00", BACKPROPAGATED: "#D55E00", NATURAL: "#CC79A7"}


def outer_product(batch: Batch) -> Layers:
    """Weights of the unitwise outer product: from the derivatives that the gradient is made of."""
    return [unitwise.outer_product_weights(g) for g in batch.derivatives]


def backpropagated(batch: Batch) -> Layers:
    """Weights of the backpropagated metric."""
    matrices = [W[:, :-1] for W in batch.weights[1:]]
    slopes = [1 - a * a for a in batch.rows[1:]]
    return unitwise.backpropagated_weights(matrices, slopes, batch.probabilities, "softmax")


def quasi_diagonal(weights_of: Any, _: float) -> Direction:
    """Return the quasi-diagonal direction with one of the metrics."""
    # 1e-12: the default, 1e-5, would stand where a pixel is nearly always white.
    method = unitwise.QuasiDiagonalNaturalGradient(decay=0.98, floor=1e-12)
    return lambda batch: method.precondition(batch.grads, batch.rows, weights_of(batch))


def natural(damping: float) -> Direction:
    """Return the direction with whole matrices, targets drawn from the model."""
    method, rng = unitwise.UnitwiseNaturalGradient(damping=damping, decay=0.98), np.random.default_rng(4)

    def direction(batch: Batch) -> Layers:
        y = unitwise.sample_outputs(batch.probabilities, "softmax", rng)
        derivatives = network.backward(batch.weights, batch.rows, batch.probabilities - y)
        weights = [unitwise.outer_product_weights(g) for g in derivatives]
        return list(method.precondition(batch.grads, batch.rows, weights))

    return direction


def methods(quick: bool) -> list[Method]:
    """Return five methods with grids of the same size."""
    many, few = (4, 4) if quick else (8, 4)

    return [
        Method(SGD, None, rates_between(0.03, 3, many)),
        Method(ADAM, None, rates_between(3e-4, 1e-1, many), is_adam=True),
        Method(OUTER, partial(quasi_diagonal, outer_product), rates_between(1e-4, 1e-1, many)),
        Method(BACKPROPAGATED, partial(quasi_diagonal, backpropagated), rates_between(1e-3, 0.3, many)),
        Method(NATURAL, natural, rates_between(1e-3, 0.1, few), (1e-3,) if quick else (1e-4, 1e-3)),
    ]


def inverted(data: Data, weights: Layers) -> tuple[Data, Layers]:
    """Return ``1 - x`` for all pixels x, and the weights with which the network is the same function of the digits.

    Parameters
    ----------
    data : Data
    weights : list of arrays, shapes (q, p)

    Returns
    -------
    Data, list of arrays
    """
    x = 1 - data.inputs
    W = weights[0].copy()
    W[:, -1] += W[:, :-1].sum(axis=1)
    W[:, :-1] *= -1
    return Data(x, data.targets, x, data.targets), [W, *weights[1:]]


def run(quick: bool, output: Path) -> str:
    """Tune five methods on the digits, run each as it is on the inverted ones, save the picture.

    Parameters
    ----------
    quick : bool
        Half of the trials, and fewer steps.
    output : pathlib.Path
        Directory of ``method_unitwise.png``.

    Returns
    -------
    str
        A paragraph with the figures of this run.
    """
    steps = 60 if quick else 150
    data = wide(digits_to_classify())
    weights = [np.float64(W) for W in network.initial_weights(SIZES, np.random.default_rng(0))]
    tuned = [tune(method, data, weights, steps) for method in methods(quick)]
    other = inverted(data, weights)
    again = [train(t.method, t.rate, t.setting, *other, steps) for t in tuned]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 5), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        draw(left, tuned, steps, "digits: rates tuned here")
        draw(right, again, steps, "inverted digits: the same rates")
        left.set_ylabel("training loss (nats)")
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=11)
        figure.savefig(output / "method_unitwise.png", dpi=130)
    return sentences(tuned, again, steps)


def draw(axes: Any, runs: list[Trained], steps: int, title: str) -> None:
    """Draw the losses of one encoding.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    runs : list of Trained
    steps : int
    title : str
    """
    x = np.arange(0, steps + 1, EVERY)
    for run in runs:
        axes.plot(x, smooth(run.losses), color=COLOURS[run.method.name], lw=2.2, label=run.method.name)
    axes.set(yscale="log", xlabel="steps", title=title)
    axes.tick_params(colors=INK)


def smooth(losses: Array) -> Array:
    """Return losses as they are, without what has no place on a logarithmic axis."""
    return np.where(np.isfinite(losses), losses, np.nan)


def sentences(tuned: list[Trained], again: list[Trained], steps: int) -> str:
    """Say what the picture shows, in figures of this run.

    Parameters
    ----------
    tuned, again : list of Trained
        On the digits, and on the inverted ones.
    steps : int

    Returns
    -------
    str
    """
    ends = {t.method.name: (t.losses[-1], a.losses[-1]) for t, a in zip(tuned, again, strict=True)}
    listed = "; ".join(f"{name} {a:.2g} and {b:.2g}" for name, (a, b) in ends.items())
    apart = {t.method.name: float(np.max(np.abs(a.losses / t.losses - 1))) for t, a in zip(tuned, again, strict=True)}
    return (
        f"Unitwise metrics make training independent of how activities are encoded. The network {SIZES} is trained for "
        f"{steps} steps on handwritten digits, with the best of {len(tuned[0].method.rates)} settings of each method, "
        f"then with the same settings on the inverted images `1 - x`, from the same function. Final training losses in "
        f"nats, as scanned and inverted: {listed}. With the backpropagated metric the two runs agree to "
        f"{apart[BACKPROPAGATED]:.0e} at every look, at the price of two products of the size of the gradient a step. "
        f"The outer product of true targets is as invariant on paper, but its moments become those of few cases once "
        f"the others are learnt, and rounding takes its runs {apart[OUTER]:.0e} apart; whole matrices take other paths "
        f"({apart[NATURAL]:.0e}) because their damping is not invariant."
    )
