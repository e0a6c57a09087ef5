"""PRONG and PRONG+ of the digits autoencoder, against SGD with the same momentum."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from curvblas.examples import contest
from curvblas.examples.data import digits_to_reconstruct, minibatches
from curvblas.examples.first_order import Momentum
from curvblas.examples.methods.loss_curves import Trial, crossing, draw, record
from curvblas.examples.network import Array, Layers, backward, forward, gradients, initial_weights
from curvblas.examples.outputs import BERNOULLI
from curvblas.examples.plot import COLOURS, STYLE
from curvblas.methods.prong import PRONG, Layer

SIZES = (64, 256, 128, 32, 128, 256, 64)
NET = [Layer(q, p) for p, q in pairwise(SIZES)]
SHOWN = 1
BATCH, SAMPLES, PERIOD, MOMENTUM = 256, 1000, 20, 0.9
SGD, PLAIN, PLUS = "SGD with momentum", "PRONG", "PRONG+"
SETTINGS: dict[str, Sequence[tuple[float, float]]] = {
    SGD: [(1.0, 0.03), (1.0, 0.02), (1.0, 0.01), (1.0, 0.04), (1.0, 0.05), (1.0, 0.06)],
    PLAIN: [(1.0, 1e-3), (1.0, 2e-3), (0.1, 1e-4), (0.1, 2e-4), (0.01, 3e-5), (0.01, 5e-5)],
    PLUS: [(1.0, 0.02), (1.0, 0.03), (0.3, 0.01), (0.3, 0.02), (0.1, 5e-3), (0.1, 0.01)],
}
"""Damping, which SGD has none of, and rate. The first two are tried when in haste."""
HUES = {SGD: COLOURS[contest.SGD], PLAIN: COLOURS[contest.KALDI], PLUS: COLOURS[contest.KFAC]}


class Descent:
    """Steps of one of the three."""

    def __init__(self, name: str, damping: float, rate: float) -> None:
        self.name, self.rate, self.steps = name, rate, 0
        self.method = PRONG(NET, damping=damping, momentum=MOMENTUM)
        self.weights = initial_weights(SIZES, np.random.default_rng(0))
        self.plain = Momentum(self.weights, rate, MOMENTUM)
        self.samples = digits_to_reconstruct().inputs[:SAMPLES]

    def step(self, inputs: Array, targets: Array) -> None:
        """Take one step on a minibatch.

        Parameters
        ----------
        inputs, targets : arrays, shape (N, 64)
        """
        if self.name != SGD and self.steps % PERIOD == 0:
            seen = forward(self.weights, self.samples)[0]
            self.method.reparametrise(seen, self._outputs(seen) if self.name == PLUS else None)
        self.steps += 1
        activations, natural = forward(self.weights, inputs)
        V = gradients(activations, backward(self.weights, activations, BERNOULLI.mean(natural) - targets))
        if self.name == SGD:
            self.plain.update(V)
            self.weights = self.plain.weights
            return
        step = self.method.step(V, rate=self.rate)
        self.weights = [W + d for W, d in zip(self.weights, step, strict=True)]

    def _outputs(self, seen: Layers) -> Layers:
        return [a @ W[:, :-1].T + W[:, -1] for W, a in zip(self.weights, seen, strict=True)]


def _trial(name: str, setting: tuple[float, float], steps: int) -> tuple[Trial, Descent]:
    data, descent = digits_to_reconstruct(), Descent(name, *setting)

    def loss() -> float:
        return float(BERNOULLI.losses(forward(descent.weights, data.inputs)[1], data.targets).mean())

    batches = minibatches(data, BATCH, np.random.default_rng(0))
    return record(Trial(name, setting), steps, batches, descent.step, loss), descent


def _spectra(descent: Descent) -> tuple[Array, Array]:
    # Of the covariance of what a layer sees, as it is and in the coordinates of the method; the largest is 1.
    seen = forward(descent.weights, descent.samples)[0]
    descent.method.reparametrise(seen, descent._outputs(seen))
    both = seen[SHOWN], descent.method.whiten(seen)[SHOWN]
    values = [np.linalg.eigvalsh(np.cov(x.T.astype(np.float64), bias=True))[::-1] for x in both]
    return values[0] / values[0][0], values[1] / values[1][0]


def _save(best: list[Trial], spectra: tuple[Array, Array], path: Path) -> None:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(14, 4.8), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        for axes, against in ((left, "steps"), (middle, "seconds")):
            draw(axes, best, HUES, against)
            axes.set(ylabel="nats per scan, all scans", title=f"loss against {against}")
        for values, hue, label in zip(spectra, (HUES[SGD], HUES[PLUS]), ("as they are", "whitened"), strict=True):
            right.plot(np.arange(1, len(values) + 1), values, color=hue, lw=2.4, label=label)
        right.set(yscale="log", ylim=(1e-6, 2), xlabel="eigenvalue", ylabel="over the largest one")
        right.set_title("covariance, inputs of layer 2")
        right.legend(frameon=False)
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=13)
        figure.savefig(path, dpi=130)


def run(quick: bool, output: Path) -> str:
    """Train the autoencoder by three methods, and draw what became of it.

    Parameters
    ----------
    quick : bool
        Fewer steps and settings.
    output : pathlib.Path
        Folder of ``method_prong.png``.

    Returns
    -------
    str
        A paragraph.
    """
    steps, settings = (40, 2) if quick else (200, 6)
    best, descents = [], {}
    for name, values in SETTINGS.items():
        found = [_trial(name, setting, steps) for setting in values[:settings]]
        trial, descents[name] = min(found, key=lambda pair: pair[0].rank)
        best.append(trial)
    spectra = _spectra(descents[PLUS])
    _save(best, spectra, output / "method_prong.png")
    sgd, ends = best[0], ", ".join(f"{t.name} {t.rank:.2f} ({t.seconds[-1]:.1f} s)" for t in best)
    near = [int((values > values[0] / 10).sum()) for values in spectra]
    sentences = [
        "PRONG is gradient descent in coordinates in which the inputs of every layer are white, and PRONG+ also in "
        "units in which outputs have deviation 1: a part of K-FAC that needs no targets drawn by the model.",
        f"The autoencoder of the digits ends after {steps} steps, each method with the best of {settings} settings, at "
        f"these nats per scan: {ends}.",
    ]
    for trial in best[1:]:
        reached = crossing(trial, sgd.rank, "steps"), crossing(trial, sgd.rank, "seconds")
        if np.isfinite(reached[0]):
            sentences.append(
                f"{trial.name} reaches the last loss of SGD after {reached[0]:.0f} steps and {reached[1]:.1f} s, SGD "
                f"itself after {steps} and {sgd.seconds[-1]:.1f} s."
            )
        else:
            sentences.append(f"{trial.name} does not reach the last loss of SGD.")
    sentences.append(
        f"Of {len(spectra[0])} eigenvalues of the covariance of a layer's inputs, {near[0]} are within a factor of 10 "
        f"of the largest one, and {near[1]} once they are whitened with the damping of PRONG+."
    )
    return " ".join(sentences)
