"""All optimisers on one network: the budget, the grids, and how each run starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curvblas.examples import optimiser_comparison_directions as directions
from curvblas.examples.contest import ADAM, KALDI, KFAC, LBFGS, LSR1, SGD, TONGA, Axes, Value
from curvblas.examples.data import digits_to_reconstruct
from curvblas.examples.descent import NetworkTraining, Optimiser
from curvblas.examples.first_order import Adam, FirstOrder, Momentum
from curvblas.examples.natural import Kaldi, Tonga
from curvblas.examples.network import Layers, initial_weights
from curvblas.examples.optimiser_comparison_methods import HessianFree, SampleSpace, WithRprop
from curvblas.examples.outputs import BERNOULLI
from curvblas.examples.quasi_newton_digits import DigitsContest, Epochs

RPROP, EKFAC, PRONG = "Rprop (all)", "E-KFAC", "PRONG+"
SAMPLE_SPACE, UNITWISE, QUASI_DIAGONAL = "sample space", "unitwise", "quasi-diagonal"
RELATIVE, HESSIAN_FREE = "relative Fisher", "Gauss-Newton CG"
FAMILIES = {
    "first order": (SGD, ADAM, RPROP),
    "Kronecker factors": (KFAC, EKFAC, PRONG),
    "low rank, samples": (TONGA, KALDI, SAMPLE_SPACE),
    "one metric a unit": (UNITWISE, QUASI_DIAGONAL, RELATIVE),
    "all weights": (HESSIAN_FREE, LBFGS, LSR1),
}
CLIP = 0.1  # nats a step and scan, twice: the first metrics are those of few cases
BATCH, SIZES, EPOCHS = 256, (64, 256, 128, 32, 128, 256, 64), 30


@dataclass(frozen=True)
class OptimiserContest(DigitsContest):
    """Every optimiser sees the gradients of as many cases; steps are passes over the data."""

    def start(self, optimiser: str, value: Value, seed: int) -> NetworkTraining:
        """Set up a run; equal seeds start from equal weights.

        Parameters
        ----------
        optimiser : str
            Of `FAMILIES`.
        value : tuple of float
            In the order of ``axes``.
        seed : int
            Of the weights, of the order of the cases, and of targets that are drawn.

        Returns
        -------
        NetworkTraining
        """
        if optimiser in {LBFGS, LSR1}:
            return super().start(optimiser, value, seed)
        weights, cases = initial_weights(self.sizes, np.random.default_rng(seed)), len(self.data.inputs)
        batch = {RPROP: cases, HESSIAN_FREE: cases // 3}.get(optimiser, BATCH)
        made = self._optimiser(optimiser, value, weights, seed)
        return Epochs(made, self.data, batch, seed, 2 * (cases // batch))

    def _optimiser(self, name: str, value: Value, weights: Layers, seed: int) -> Optimiser:
        if name in {SGD, ADAM}:
            rule = Momentum(weights, *value) if name == SGD else Adam(weights, *value)
            return FirstOrder(rule, self.output)
        if name == SAMPLE_SPACE:
            return SampleSpace(weights, self.output, *value, seed=seed)
        plain = {RPROP: WithRprop, HESSIAN_FREE: HessianFree, TONGA: Tonga, KALDI: Kaldi}
        if name in plain:
            made: Optimiser = plain[name](weights, self.output, *value)
            return made
        rate, damping = value
        direction = self._direction(name, weights, damping)
        return directions.Preconditioned(weights, self.output, rate, CLIP, direction, seed)

    @staticmethod
    def _direction(name: str, weights: Layers, damping: float) -> directions.Direction:
        if name in {KFAC, EKFAC}:
            return directions.kronecker("factored" if name == KFAC else "ekfac", weights, damping)
        if name == PRONG:
            return directions.whitened(weights, damping)
        if name == UNITWISE:
            return directions.whole_units(damping)
        if name == QUASI_DIAGONAL:
            return directions.quasi_diagonal(damping)
        return directions.relative(len(weights), damping)


def optimiser_contest(quick: bool) -> OptimiserContest:
    """Make the contest.

    Parameters
    ----------
    quick : bool
        Six passes, and of each setting the value in the middle.

    Returns
    -------
    OptimiserContest
    """
    axes: dict[str, Axes] = {
        SGD: {"rate": (0.003, 0.006, 0.01, 0.02, 0.03, 0.04)},
        ADAM: {"rate": (0.001, 0.002, 0.003, 0.005, 0.008, 0.012)},
        RPROP: {"step size": (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)},
        KFAC: {"rate": (0.1, 0.2, 0.4), "damping": (0.1, 0.3)},
        EKFAC: {"rate": (0.05, 0.1, 0.2), "damping": (0.2, 0.5)},
        PRONG: {"rate": (0.01, 0.02, 0.04), "damping": (0.3, 1.0)},
        TONGA: {"rate": (3e-6, 1e-5, 3e-5), "damping": (0.001, 0.003)},
        KALDI: {"rate": (0.05, 0.1, 0.2), "alpha": (1.0, 4.0)},
        SAMPLE_SPACE: {"rate": (0.05, 0.1, 0.2), "damping": (1.0, 3.0)},
        UNITWISE: {"rate": (0.01, 0.02, 0.04), "damping": (0.1,)},
        QUASI_DIAGONAL: {"rate": (0.0002, 0.0005, 0.001), "damping": (0.001, 0.003)},
        RELATIVE: {"rate": (0.005, 0.01, 0.02), "damping": (0.1,)},
        HESSIAN_FREE: {"damping": (0.1, 0.3, 1.0), "iterations": (10.0,)},
        LBFGS: {},
        LSR1: {},
    }
    if quick:
        axes = {
            name: {key: values[len(values) // 2 :][:1] for key, values in each.items()} for name, each in axes.items()
        }
    return OptimiserContest(
        name="digits autoencoder",
        loss="nats per scan, all scans",
        steps=6 if quick else EPOCHS,
        axes=axes,
        data=digits_to_reconstruct(),
        output=BERNOULLI,
        sizes=SIZES,
    )
