"""K-FAC and E-KFAC of a convolutional autoencoder of digits, against SGD with momentum and Adam."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from curvblas.examples import contest
from curvblas.examples.data import digits_to_reconstruct, minibatches
from curvblas.examples.first_order import Adam, Momentum, Rule
from curvblas.examples.methods.convolutional import backward, forward, gradients, initial_weights
from curvblas.examples.methods.loss_curves import Trial, crossing, draw, record
from curvblas.examples.network import Array, Layers
from curvblas.examples.outputs import BERNOULLI
from curvblas.examples.plot import COLOURS, STYLE
from curvblas.methods.kfac import KFAC, Conv, Layer

NET: list[Conv | Layer] = [
    Conv(8, 1, (3, 3), padding=1),
    Conv(16, 8, (3, 3), stride=2, padding=1),
    Conv(32, 16, (3, 3), stride=2, padding=1),
    Layer(16, 128),
    Layer(128, 16),
    Layer(64, 128),
]
BATCH = 128
SGD, ADAM, PLAIN, MEASURED = "SGD with momentum", "Adam", "K-FAC", "E-KFAC"
SETTINGS: dict[str, Sequence[tuple[float, ...]]] = {
    SGD: [(0.03,), (0.01,), (0.06,), (0.1,)],
    ADAM: [(0.01,), (0.003,), (0.02,), (0.03,)],
    PLAIN: [(0.03, 1e-2), (0.1, 1e-2), (0.03, 3e-3), (0.1, 3e-3)],
    MEASURED: [(0.1, 1e-2), (0.1, 3e-3), (0.3, 1e-2), (0.3, 3e-3)],
}
"""Rates; or damping and clip. The first two are tried when in haste."""
LONGEST_RATE, MOMENTUM = 1.0, 0.9
HUES = dict(
    zip(SETTINGS, (COLOURS[name] for name in (contest.SGD, contest.ADAM, contest.KFAC, contest.TONGA)), strict=True)
)


class Natural:
    """K-FAC with heavy-ball momentum; the clip of the step takes the place of a learning rate."""

    def __init__(self, weights: Layers, method: str, damping: float, clip: float) -> None:
        self.weights, self.clip = weights, clip
        self.method = KFAC(NET, damping=damping, method=method)
        self.velocity = [np.zeros_like(W) for W in weights]
        self.rng = np.random.default_rng(1)

    def step(self, images: Array, targets: Array) -> None:
        """Take one step on a minibatch.

        Parameters
        ----------
        images : array, shape (N, 1, 8, 8)
        targets : array, shape (N, 64)
        """
        inputs, natural = forward(NET, self.weights, images)
        mean = BERNOULLI.mean(natural)
        V = gradients(NET, inputs, backward(NET, self.weights, inputs, mean - targets))
        # Derivatives on targets that the model draws: so G belongs to the true Fisher matrix.
        g = backward(NET, self.weights, inputs, mean - BERNOULLI.sample(mean, self.rng))
        step = self.method.step(V, inputs, g, rate=LONGEST_RATE, clip=self.clip)
        self.velocity = [MOMENTUM * v + d for v, d in zip(self.velocity, step, strict=True)]
        self.weights = [W + v for W, v in zip(self.weights, self.velocity, strict=True)]


class FirstOrder:
    """A rule that goes by gradients alone."""

    def __init__(self, rule: Rule) -> None:
        self.rule, self.weights = rule, rule.weights

    def step(self, images: Array, targets: Array) -> None:
        """Take one step on a minibatch.

        Parameters
        ----------
        images : array, shape (N, 1, 8, 8)
        targets : array, shape (N, 64)
        """
        inputs, natural = forward(NET, self.weights, images)
        g = backward(NET, self.weights, inputs, BERNOULLI.mean(natural) - targets)
        self.rule.update(gradients(NET, inputs, g))


def _optimiser(name: str, setting: tuple[float, ...]) -> Natural | FirstOrder:
    weights = initial_weights(NET, np.random.default_rng(0))
    if name in (SGD, ADAM):
        return FirstOrder(Momentum(weights, *setting) if name == SGD else Adam(weights, *setting))
    return Natural(weights, "factored" if name == PLAIN else "ekfac", *setting)


def _trial(name: str, setting: tuple[float, ...], steps: int) -> Trial:
    data, optimiser = digits_to_reconstruct(), _optimiser(name, setting)
    images = data.inputs.reshape(-1, 1, 8, 8)

    def step(inputs: Array, targets: Array) -> None:
        optimiser.step(inputs.reshape(-1, 1, 8, 8), targets)

    def loss() -> float:
        natural = forward(NET, optimiser.weights, images)[1]
        return float(BERNOULLI.losses(natural, data.targets).mean())

    batches = minibatches(data, BATCH, np.random.default_rng(0))
    return record(Trial(name, setting), steps, batches, step, loss)


def _save(best: list[Trial], path: Path) -> None:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 4.8), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, against in zip(panels, ("steps", "seconds"), strict=True):
            draw(axes, best, HUES, against)
        panels[0].set_ylabel("nats per scan, all scans")
        panels[0].set_title("against steps of 128 scans")
        panels[1].set_title("against seconds of training")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=13)
        figure.savefig(path, dpi=130)


def run(quick: bool, output: Path) -> str:
    """Train the autoencoder by four methods, and draw what became of it.

    Parameters
    ----------
    quick : bool
        Fewer steps and settings.
    output : pathlib.Path
        Folder of ``method_kfac.png``.

    Returns
    -------
    str
        A paragraph.
    """
    few, settings = (20, 2) if quick else (150, 4)
    best = []
    for name, values in SETTINGS.items():
        steps = 2 * few if name in (SGD, ADAM) else few
        best.append(min((_trial(name, x, steps) for x in values[:settings]), key=lambda trial: trial.rank))
    _save(best, output / "method_kfac.png")
    by_name = {trial.name: trial for trial in best}
    level, rival = by_name[ADAM].rank, by_name[ADAM]
    ends = ", ".join(f"{t.name} {t.rank:.2f} ({t.steps[-1]} steps, {t.seconds[-1]:.1f} s)" for t in best)
    scans = len(digits_to_reconstruct().inputs)
    sentences = [
        "K-FAC approximates the Fisher matrix of each layer by a Kronecker product, and E-KFAC measures its diagonal "
        "anew in the eigenbasis of that product: for networks in which gradients alone need many steps.",
        f"An autoencoder of {scans:,} digits with three convolutions and three dense layers ends, each method with the "
        f"best of {settings} settings, at these nats per scan: {ends}.",
    ]
    for name in (PLAIN, MEASURED):
        reached, seconds = (crossing(by_name[name], level, x) for x in ("steps", "seconds"))
        if np.isfinite(reached):
            sentences.append(
                f"{name} reaches the last loss of Adam after {reached:.0f} steps instead of {rival.steps[-1]}, and "
                f"{seconds:.1f} s instead of {rival.seconds[-1]:.1f} s."
            )
        else:
            sentences.append(f"{name} does not reach the last loss of Adam in half its steps.")
    return " ".join(sentences)
