"""Relative natural gradient descent on the digits, from weights of the usual size and from weights that saturate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from curvblas.examples import network
from curvblas.examples.data import digits_to_classify
from curvblas.examples.methods.digit_training import (
    EVERY,
    Batch,
    Direction,
    Method,
    Trained,
    look_at,
    rates_between,
    tune,
    wide,
)
from curvblas.examples.network import Array, Layers
from curvblas.examples.plot import STYLE
from curvblas.methods.relative_fisher import RelativeNaturalGradient, neuron_information

SIZES = (64, 32, 32, 20, 10)
KINDS = ("tanh", "tanh", "tanh", "softmax")
SATURATING = 6.0  # times the usual weights
SGD, ADAM, RELATIVE = "SGD with momentum", "Adam", "relative natural gradient"
COLOURS = {SGD: "#0072B2", ADAM: "#009E73", RELATIVE: "#D55E00"}


def relative(damping: float) -> Direction:
    """Return the direction with the relative Fisher metrics of the layers."""
    method = RelativeNaturalGradient(KINDS, damping=damping, decay=0.9)
    return lambda batch: method.precondition(batch.grads, batch.rows, [*pre_activations(batch), batch.probabilities])


def pre_activations(batch: Batch) -> Layers:
    """Return those of the hidden layers."""
    return [a @ W[:, :-1].T + W[:, -1] for a, W in zip(batch.rows[:-1], batch.weights[:-1], strict=True)]


def methods(quick: bool) -> list[Method]:
    """Return three methods with grids of the same size."""
    many, few = (4, 4) if quick else (8, 4)

    return [
        Method(SGD, None, rates_between(0.003, 1, many)),
        Method(ADAM, None, rates_between(1e-3, 1e-1, many), is_adam=True),
        Method(RELATIVE, relative, rates_between(0.003, 0.1, few), (1e-2,) if quick else (1e-3, 1e-2)),
    ]


def run(quick: bool, output: Path) -> str:
    """Tune three methods from each of two starts, save the picture.

    Parameters
    ----------
    quick : bool
        Half of the trials, and fewer steps.
    output : pathlib.Path
        Directory of ``method_relative_fisher.png``.

    Returns
    -------
    str
        A paragraph with the figures of this run.
    """
    steps = 50 if quick else 150
    data = wide(digits_to_classify())
    usual = [np.float64(W) for W in network.initial_weights(SIZES, np.random.default_rng(0))]
    starts = [usual, [*(SATURATING * W for W in usual[:-1]), usual[-1]]]
    tuned = [[tune(method, data, weights, steps) for method in methods(quick)] for weights in starts]
    information = [unit_information(look_at(weights, data.inputs, data.targets)) for weights in starts]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(13, 4.6), layout="constrained")
        units, left, right = figure.subplots(1, 3)
        right.sharey(left)
        draw_information(units, information)
        draw(left, tuned[0], steps, "usual weights")
        draw(right, tuned[1], steps, f"{SATURATING:.0f} times as large")
        left.set_ylabel("training loss (nats)")
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=12)
        figure.savefig(output / "method_relative_fisher.png", dpi=130)
    return sentences(tuned, information, steps)


def unit_information(batch: Batch) -> Array:
    """Return the mean of nu of each hidden unit.

    Parameters
    ----------
    batch : Batch

    Returns
    -------
    array, shape (hidden units,)
    """
    return np.concatenate([neuron_information("tanh", t).mean(axis=0) for t in pre_activations(batch)])


def draw_information(axes: Any, information: list[Array]) -> None:
    """Draw the means of nu, sorted, of both starts.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    information : list of arrays, shape (hidden units,)
    """
    for values, style, label in zip(information, ("-", "--"), ("usual", "large"), strict=True):
        axes.plot(np.sort(values), style, color="#444444", lw=2.2, label=f"{label} weights")
    axes.set(xlabel="hidden units, sorted", ylabel="mean of nu", ylim=(0, 1), title="at the start")
    axes.legend(frameon=False, fontsize=11)


def draw(axes: Any, runs: list[Trained], steps: int, title: str) -> None:
    """Draw the losses from one start.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    runs : list of Trained
    steps : int
    title : str
    """
    x = np.arange(0, steps + 1, EVERY)
    for run in runs:
        losses = np.where(np.isfinite(run.losses), run.losses, np.nan)
        axes.plot(x, losses, color=COLOURS[run.method.name], lw=2.2, label=run.method.name)
    axes.set(yscale="log", xlabel="steps", title=title)


def sentences(tuned: list[list[Trained]], information: list[Array], steps: int) -> str:
    """Say what the picture shows, in figures of this run.

    Parameters
    ----------
    tuned : list of lists of Trained
        From the usual weights, and from the large ones.
    information : list of arrays
        Mean of nu of each hidden unit, the same.
    steps : int

    Returns
    -------
    str
    """
    ends = {a.method.name: (a.losses[-1], b.losses[-1]) for a, b in zip(*tuned, strict=True)}
    listed = "; ".join(f"{name} {a:.2g} and {b:.2g}" for name, (a, b) in ends.items())
    best = min(ends, key=lambda name: ends[name][1])
    usual, large = (float(np.median(values)) for values in information)
    return (
        f"Relative Fisher metrics know how much a unit still answers to its input, without a backward pass. A network "
        f"{SIZES} learns handwritten digits for {steps} steps, from the usual weights and from hidden weights "
        f"{SATURATING:.0f} times as large, which saturate its units: the median of their information nu falls from "
        f"{usual:.2f} to {large:.2f}. With the best of {len(tuned[0][0].method.rates)} settings of each method at each "
        f"start the training losses end, in nats, at {listed}; from the large weights {best} is ahead. A step costs "
        f"far more than one of Adam: each unit has a matrix of its own, and the softmax layer one for all its weights."
    )
