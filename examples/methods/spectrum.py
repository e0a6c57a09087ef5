"""Spectra of the Hessian and of the Gauss-Newton matrix of a digits network, before and after training."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import curvblas as cb
from curvblas.examples.data import digits_to_classify
from curvblas.examples.network import Array, Layers, backward, forward, gradients, initial_weights
from curvblas.examples.outputs import SOFTMAX
from curvblas.examples.plot import INK, STYLE
from curvblas.methods import spectrum

CLASSES, TAU, STEPS, DRAWS, SHOWN = 10, 1e-3, 80, 5, 40
ITERATIONS = 20  # to a loss of some per cent: at 0, curvature vanishes with it
BEFORE, AFTER = "#0072B2", "#D55E00"


class Network:
    """Mean cross-entropy of a network for digits, in float64, as a function of one vector of weights.

    Parameters
    ----------
    hidden : int
        Units of the one hidden layer.
    cases : int
        The first ones of the training set.
    """

    def __init__(self, hidden: int, cases: int) -> None:
        data = digits_to_classify()
        self.inputs = data.inputs[:cases].astype(np.float64)
        self.targets = data.targets[:cases].astype(np.float64)
        self.sizes = (64, hidden, CLASSES)

    def start(self) -> Array:
        """Draw the weights."""
        return flat(initial_weights(self.sizes, np.random.default_rng(0))).astype(np.float64)

    def layers(self, x: Array) -> Layers:
        """Cut a vector into the weights of the layers.

        Parameters
        ----------
        x : array, shape (P,)

        Returns
        -------
        list of arrays, shapes (q, p)
        """
        shapes = [(q, p + 1) for p, q in pairwise(self.sizes)]
        ends = np.cumsum([q * p for q, p in shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(x, ends), shapes, strict=True)]

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """Evaluate the loss in nats.

        Parameters
        ----------
        x : array, shape (P,)

        Returns
        -------
        value : float
        gradient : array, shape (P,)
        """
        weights = self.layers(x)
        a, f = forward(weights, self.inputs)
        g = backward(weights, a, SOFTMAX.mean(f) - self.targets)
        return float(SOFTMAX.losses(f, self.targets).mean()), flat(gradients(a, g))

    def hessian(self, x: Array) -> Array:
        """Form the Hessian, column by column, from differences of gradients.

        Parameters
        ----------
        x : array, shape (P,)

        Returns
        -------
        array, shape (P, P)
        """
        product = spectrum.hessian_product(lambda z: self.value_and_gradient(z)[1], x)
        return np.array([product(e) for e in np.eye(len(x))])

    def fisher_rows(self, x: Array) -> Array:
        """Return rows J, ten a case, with ``J^T J / rows`` the Fisher matrix, which is that of Gauss and Newton.

        Parameters
        ----------
        x : array, shape (P,)

        Returns
        -------
        array, shape (10 N, P)
            ``root(10 p_k) (e_k - p)`` propagated back, k = 1 ... 10.
        """
        weights = self.layers(x)
        a, f = forward(weights, self.inputs)
        p, rows = SOFTMAX.mean(f), []
        for k in range(CLASSES):
            scores = np.sqrt(CLASSES * p[:, k : k + 1]) * (np.eye(CLASSES)[k] - p)
            g = backward(weights, a, scores)
            padded = [np.column_stack([inputs, np.ones(len(p))]) for inputs in a]
            parts = [(d[:, :, None] * b[:, None]).reshape(len(p), -1) for d, b in zip(g, padded, strict=True)]
            rows.append(np.concatenate(parts, axis=1))
        return np.concatenate(rows)


def flat(layers: Layers) -> Array:
    """Concatenate the weights of all layers."""
    return np.concatenate([W.ravel() for W in layers])


@dataclass(frozen=True)
class Spectra:
    """Eigenvalues at one point, exact and as Lanczos quadrature estimates them."""

    loss: float
    hessian: Array
    gauss_newton: Array
    estimate: spectrum.Quadrature


def spectra(network: Network, x: Array) -> Spectra:
    """Decompose both matrices at a point.

    Parameters
    ----------
    network : Network
    x : array, shape (P,)

    Returns
    -------
    Spectra
    """
    value, _ = network.value_and_gradient(x)
    product = spectrum.hessian_product(lambda z: network.value_and_gradient(z)[1], x)
    return Spectra(
        value,
        spectrum.exact_spectrum(network.hessian(x)),
        spectrum.gram_spectrum(network.fisher_rows(x)),
        spectrum.quadrature(product, len(x), steps=STEPS, draws=DRAWS),
    )


def run(quick: bool, output: Path) -> str:
    """Train the network, decompose its curvature, save the picture.

    Parameters
    ----------
    quick : bool
        A smaller network and fewer cases.
    output : pathlib.Path
        Directory of ``method_spectrum.png``.

    Returns
    -------
    str
        A paragraph with the figures of this run.
    """
    network = Network(6, 400) if quick else Network(16, 1347)
    start = network.start()
    trained = cb.minimize_lbfgs(network.value_and_gradient, start, max_iterations=ITERATIONS).x
    before, after = spectra(network, start), spectra(network, trained)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12, 4.8), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
        draw_densities(left, before, after)
        draw_largest(right, before, after)
        figure.savefig(output / "method_spectrum.png", dpi=130)
    return sentences(len(start), before, after)


def draw_densities(axes: Any, before: Spectra, after: Spectra) -> None:
    """Draw densities of the Hessian's eigenvalues, and what Lanczos quadrature makes of the last one.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    before, after : Spectra
    """
    width = 5e-3 * float(np.ptp(after.hessian))
    spectrum.plot_density(before.hessian, axes=axes, width=width, color=BEFORE, lw=2.2, label="before training")
    spectrum.plot_density(after.hessian, axes=axes, width=width, color=AFTER, lw=2.2, label="after training")
    label = f"after, by {STEPS} Lanczos steps, {DRAWS} draws"
    spectrum.plot_density(after.estimate, axes=axes, width=width, color=INK, ls=":", lw=1.6, label=label)
    axes.set(xlabel="eigenvalue of the Hessian", title="All eigenvalues")
    axes.legend(frameon=False, fontsize=11)


def draw_largest(axes: Any, before: Spectra, after: Spectra) -> None:
    """Draw the largest eigenvalues of both matrices by rank.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    before, after : Spectra
    """
    ranks = np.arange(1, SHOWN + 1)
    for found, when, colour in ((before, "before", BEFORE), (after, "after", AFTER)):
        axes.plot(ranks, found.hessian[: -SHOWN - 1 : -1], "o", ms=5, color=colour, label=f"Hessian, {when}")
        axes.plot(ranks, found.gauss_newton[: -SHOWN - 1 : -1], color=colour, lw=1.8, label=f"Gauss-Newton, {when}")
    axes.axvline(CLASSES, color=INK, ls="--", lw=1)
    axes.text(CLASSES + 0.6, 0.97, f"{CLASSES} classes", transform=axes.get_xaxis_transform(), va="top", color=INK)
    axes.set(yscale="log", xlabel="rank", ylabel="eigenvalue", title=f"The {SHOWN} largest")
    axes.legend(frameon=False, fontsize=11, loc="upper right")


def sentences(parameters: int, before: Spectra, after: Spectra) -> str:
    """Say what spectra are for, and what the picture shows.

    Parameters
    ----------
    parameters : int
    before, after : Spectra

    Returns
    -------
    str
    """
    early, late, early_fisher, fisher = (
        spectrum.bulk_and_edges(values)
        for values in (before.hessian, after.hessian, before.gauss_newton, after.gauss_newton)
    )
    top = after.hessian[-1]
    error = abs(after.estimate.nodes.max() - top) / top
    trace = abs(after.estimate.trace(lambda v: v) - after.hessian.sum()) / after.hessian.sum()
    above = int(np.sum(after.hessian > top / 10))
    return (
        "The spectrum of the curvature tells what a second-order method can gain, and how much damping it wants. For a "
        f"digits network of {parameters} weights, training moves the loss from {before.loss:.2f} to {after.loss:.1e} "
        f"nats and the share of the Hessian's eigenvalues below {TAU:g} of the largest one from "
        f"{early.near_zero[TAU]:.0%} to {late.near_zero[TAU]:.0%} (below 1e-5: {early.near_zero[1e-5]:.0%} and "
        f"{late.near_zero[1e-5]:.0%}): the answer depends on the threshold. The widest gap leaves {early.outliers} "
        f"outliers before and {late.outliers} after training (Gauss-Newton: {early_fisher.outliers} and "
        f"{fisher.outliers}), for "
        f"{CLASSES} classes, and {above} eigenvalues exceed a tenth of the largest one after it. {early.negative} "
        f"eigenvalues are clearly negative before and {late.negative} after training, the lowest {late.lowest:.1e} "
        f"beside {top:.1e}; the largest one of Gauss-Newton, which has none, is {fisher.highest:.1e}. {STEPS} Lanczos "
        f"steps from each of {DRAWS} random vectors find the largest eigenvalue to {error:.0e} and the trace to "
        f"{trace:.0%}, without forming the matrix."
    )
