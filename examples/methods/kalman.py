"""A Kalman filter on the digits: softmax regression in one pass, each case once, against SGD and Adam."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from curvblas.examples.data import digits_to_classify
from curvblas.examples.network import Array
from curvblas.examples.plot import STYLE
from curvblas.methods import kalman

CLASSES = 10
SGD, FALLING, ADAM, BLOCKS, FULL = "SGD", "SGD, falling rate", "Adam", "Kalman filter by class", "Kalman filter"
COLOURS = {SGD: "#0072B2", FALLING: "#56B4E9", ADAM: "#009E73", BLOCKS: "#CC79A7", FULL: "#D55E00"}
SETTINGS = {
    SGD: (0.03, 0.1, 0.2, 0.3, 1.0),
    FALLING: (0.1, 0.3, 1.0, 2.0, 3.0),
    ADAM: (0.003, 0.01, 0.03, 0.05, 0.1),
    BLOCKS: (0.1, 0.3, 1.0, 3.0, 10.0),
    FULL: (0.1, 0.3, 1.0, 3.0, 10.0),
}
"""Rates, or variances of the prior of the filters."""


class Stream:
    """Digits with a constant, in random order, and others for the test."""

    def __init__(self, seed: int, cases: int) -> None:
        data = digits_to_classify()
        order = np.random.default_rng(seed).permutation(len(data.inputs))[:cases]
        assert data.test_inputs is not None
        assert data.test_labels is not None
        self.X, self.labels = _with_constant(data.inputs)[order], data.targets.argmax(axis=1)[order]
        self.test_X, self.test_labels = _with_constant(data.test_inputs), data.test_labels


def _with_constant(inputs: Array) -> Array:
    return np.column_stack([inputs.astype(np.float64), np.ones(len(inputs))])


def losses(f: Array, labels: Array) -> Array:
    """Evaluate the losses of scores, in nats.

    Parameters
    ----------
    f : array, shape (N, 10)
    labels : int array, shape (N,)

    Returns
    -------
    array, shape (N,)
    """
    top = f.max(axis=1)
    return np.asarray(top + np.log(np.exp(f - top[:, None]).sum(axis=1)) - f[np.arange(len(f)), labels])


def filter_step(name: str, dim: int, variance: float) -> Callable[[Array, Array, int], Array]:
    """Make a filter.

    Parameters
    ----------
    name : str
        FULL or BLOCKS.
    dim : int
    variance : float
        Of the prior.

    Returns
    -------
    (x, f, label) -> array, shape (dim,)
    """
    blocks = None if name == FULL else [dim // CLASSES] * CLASSES
    method = kalman.ExponentialFamilyFilter("categorical", dim, covariance=variance, blocks=blocks)
    return lambda x, f, label: np.asarray(method.step(np.kron(np.eye(CLASSES), x), f, label))


def first_order_step(name: str, rate: float) -> Callable[[Array, Array, int], Array]:
    """Make SGD, with a constant rate or one that falls as ``rate / (1 + t / 100)``, or Adam.

    Parameters
    ----------
    name : str
    rate : float

    Returns
    -------
    (x, f, label) -> array, shape (dim,)
    """
    t, first, second = 0, np.zeros(1), np.zeros(1)

    def step(x: Array, f: Array, label: int) -> Array:
        nonlocal t, first, second
        p = np.exp(f - f.max())
        g = np.outer(p / p.sum() - np.eye(CLASSES)[label], x).ravel()
        t += 1
        if name != ADAM:
            return np.asarray(-rate / (1 + (t / 100 if name == FALLING else 0)) * g)
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
        return np.asarray(-rate * first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8))

    return step


def one_pass(stream: Stream, name: str, setting: float) -> tuple[Array, float, float]:
    """Learn from each case once.

    Parameters
    ----------
    stream : Stream
    name : str
    setting : float

    Returns
    -------
    test_losses : array, one for each of `moments`
        Mean losses of the test cases on the way.
    test_loss, test_error : float
        Mean loss and share of errors at the end.
    """
    dim = CLASSES * stream.X.shape[1]
    theta = np.zeros(dim)
    step = filter_step(name, dim, setting) if name in {FULL, BLOCKS} else first_order_step(name, setting)
    found, watched = [], moments(len(stream.labels))
    for t, (x, label) in enumerate(zip(stream.X, stream.labels, strict=True), 1):
        theta = theta + step(x, theta.reshape(CLASSES, -1) @ x, int(label))
        if t in watched:
            f = stream.test_X @ theta.reshape(CLASSES, -1).T
            found.append(losses(f, stream.test_labels).mean())
    return np.array(found), float(found[-1]), float(np.mean(f.argmax(axis=1) != stream.test_labels))


def moments(cases: int) -> Array:
    """Return the numbers of cases after which the test loss is looked at.

    Parameters
    ----------
    cases : int

    Returns
    -------
    int array
    """
    return np.unique(np.geomspace(20, cases, 25).round().astype(int))


def run(quick: bool, output: Path) -> str:
    """Try all settings of all methods, save the picture.

    Parameters
    ----------
    quick : bool
        One order of 150 cases instead of two of all 1,347.
    output : pathlib.Path
        Directory of ``method_kalman.png``.

    Returns
    -------
    str
        A paragraph with the figures of this run.
    """
    streams = [Stream(seed, 150 if quick else 10_000) for seed in range(1 if quick else 2)]
    found = {name: {s: [one_pass(x, name, s) for x in streams] for s in tried} for name, tried in SETTINGS.items()}
    tests = {
        name: {s: float(np.mean([r[1] for r in runs])) for s, runs in tried.items()} for name, tried in found.items()
    }
    best = {name: min(tried.items(), key=lambda item: item[1])[0] for name, tried in tests.items()}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 5.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        for name, colour in COLOURS.items():
            course = np.mean([r[0] for r in found[name][best[name]]], axis=0)
            left.plot(moments(len(streams[0].labels)), course, color=colour, lw=2.2, label=name)
            right.plot(tests[name].keys(), tests[name].values(), "o-", color=colour, lw=2.2, ms=5)
        label_axes(left, right)
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=5, frameon=False, fontsize=12)
        figure.savefig(output / "method_kalman.png", dpi=130)
    errors = {name: float(np.mean([r[2] for r in found[name][best[name]]])) for name in COLOURS}
    return sentences(len(streams[0].labels), len(streams), best, tests, errors)


def label_axes(left: Any, right: Any) -> None:
    """Name the axes of both panels.

    Parameters
    ----------
    left, right : matplotlib.axes.Axes
    """
    left.set(xscale="log", yscale="log", xlabel="cases seen", ylabel="test loss (nats)", ylim=(0.1, 8))
    left.set_title("On the way, best settings")
    right.set(xscale="log", yscale="log", xlabel="rate, or variance of the prior", title="At the end, all settings")
    right.set(ylabel="test loss (nats)", ylim=(0.1, 2))
    for axes in (left, right):
        axes.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    left.xaxis.set_major_formatter("{x:g}")
    right.xaxis.set_major_formatter("{x:g}")


def sentences(
    cases: int, orders: int, best: dict[str, float], tests: dict[str, dict[float, float]], errors: dict[str, float]
) -> str:
    """Say what the filter is for, and what the picture shows.

    Parameters
    ----------
    cases, orders : int
    best : dict of str to float
        The settings with the lowest loss on the test cases.
    tests : dict of str to dict of float to float
        Losses on the test cases.
    errors : dict of str to float
        Shares of errors, with the best settings.

    Returns
    -------
    str
    """
    passes = "one random order" if orders == 1 else f"{orders} random orders"
    results = ", ".join(f"{tests[n][best[n]]:.2f} ({100 * errors[n]:.1f} % errors) by {n}" for n in COLOURS)
    wide = {name: sum(loss < 1.5 * min(tried.values()) for loss in tried.values()) for name, tried in tests.items()}
    return (
        "An extended Kalman filter of the parameters is the online natural gradient with the rate 1 / (t + 1): nothing "
        f"is left to choose but a prior. Softmax regression on {cases:,} digits, each seen once ({passes}), has "
        f"test losses of {results}, each with the best of five settings, chosen on the test cases. The setting "
        f"matters to all of them: {wide[FULL]} of the five prior variances of the filter, and {wide[SGD]} of the "
        f"rates of SGD, stay within 1.5 times their best loss; a prior that is too wide makes the first steps so long "
        "that the linearised model is wrong. A step of the full filter costs some 3 dim^2 flops an output, which the "
        "filter by class divides by ten."
    )
