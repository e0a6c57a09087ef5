"""K-FAC in NumPy with the kernels of curvblas: a reference implementation of Martens and Grosse 2015.

One step on a minibatch of N cases; numbers in brackets are sections of the paper:

1. forward and backward on the targets: the gradient V of the mean loss, layer by layer;
2. backward on targets that the model draws itself: rows g, so that G estimates the true Fisher matrix [5];
3. ``A <- eps A + (1 - eps) a^T a / N``, ``G <- eps G + (1 - eps) g^T g / N``, eps = min(1 - 1/k, 0.95) [5];
4. every T3 = 5 steps: invert ``A + pi sqrt(lambda) I`` and ``G + sqrt(lambda) / pi I`` [6.3, 8];
5. the proposal ``D = -G^-1 V A^-1`` [4.2];
6. the update ``d = alpha D + mu d0`` that minimises the quadratic model with the exact Fisher matrix of the
   minibatch, where d0 is the previous update [6.4, 7];
7. every T1 = 5 steps: adapt lambda to how well that model predicted the loss (Levenberg-Marquardt) [6.5].

Simpler than the paper: gamma is sqrt(lambda) instead of being searched [6.6]; the whole minibatch serves
every purpose; no weight decay; no averaging of weights. Not in the paper: lambda has a floor.
"""

from __future__ import annotations

import numpy as np

import curvblas as cb
from curvblas.examples.network import (
    Array,
    Layers,
    backward,
    directional_derivative,
    forward,
    gradients,
    inner,
)
from curvblas.examples.outputs import Output
from curvblas.examples.stopwatch import Stopwatch

KERNELS = ("update_factors", "factored_damping", "damped_inverse", "precondition")
T1 = 5
T3 = 5
OMEGA = (19 / 20) ** T1
LARGEST_DECAY = 0.95
# The test of lambda sees one minibatch, and a step may fit that ever better while all other cases get worse:
# without a floor, lambda fell to 1e-8 on the digits and the loss jumped from 14 to 17 nats.
LARGEST_DAMPING_CUT = 10.0


def model_minimiser(curvature: Array, slopes: Array) -> Array:
    """Coefficients (alpha, mu) of the minimiser of ``x^T curvature x / 2 + slopes^T x`` (section 7).

    Parameters
    ----------
    curvature : float64 array, shape (2, 2)
        ``u^T (F + lambda I) v`` for u, v in (proposal, previous update).
    slopes : float64 array, shape (2,)
        The products of the gradient with the same two directions.

    Returns
    -------
    float64 array, shape (2,)
        With mu = 0 where the previous update is zero or parallel to the proposal, or would turn it round.
    """
    if np.linalg.det(curvature) >= 1e-12 * np.trace(curvature) ** 2 > 0:
        coefficients = -np.linalg.solve(curvature, slopes)
        if coefficients[0] > 0:
            return coefficients
    # A zero proposal comes from a zero gradient: stay.
    alpha = 0.0 if slopes[0] == 0 else -slopes[0] / curvature[0, 0]
    return np.array([alpha, 0.0])


class KFAC:
    """Kronecker-factored approximate curvature; the only setting is the initial damping lambda.

    Parameters
    ----------
    weights : list of float32 arrays, shapes (q, p)
        Starting point, bias in the last column. Not modified.
    output : Output
        Distribution of the targets given the outputs of the network.
    damping : float > 0
        Initial lambda, in the unit of the curvature: loss per squared weight.
    rng : numpy.random.Generator
        Draws the targets of step 2.

    Attributes
    ----------
    repaired : int
        How many inverses needed jitter on top of their damping (status 1).
    watch : Stopwatch
        Seconds spent in each phase of the steps.
    """

    def __init__(self, weights: Layers, output: Output, damping: float, rng: np.random.Generator) -> None:
        self.weights = [W.copy() for W in weights]
        self.output = output
        self.damping = damping
        self.smallest_damping = damping / LARGEST_DAMPING_CUT
        self.rng = rng
        self.steps = 0
        self.repaired = 0
        self.watch = Stopwatch()
        self.A = [np.zeros((W.shape[1], W.shape[1]), W.dtype) for W in weights]
        self.G = [np.zeros((W.shape[0], W.shape[0]), W.dtype) for W in weights]
        self.inverses = [np.zeros_like(C) for C in self.A + self.G]
        self.update = [np.zeros_like(W) for W in weights]

    def step(self, inputs: Array, targets: Array) -> None:
        """Take one step on a minibatch.

        Parameters
        ----------
        inputs : array, shape (N, sizes[0])
        targets : array, shape (N, sizes[-1])
        """
        self.steps += 1
        with self.watch("forward, backward"):
            activations, natural = forward(self.weights, inputs)
            mean = self.output.mean(natural)
            V = gradients(activations, backward(self.weights, activations, mean - targets))
        self._update_factors(activations, mean)
        if self.steps <= 3 or self.steps % T3 == 0:
            self._invert_factors()
        with self.watch("precondition"):
            P = cb.precondition(V, self.inverses[: len(V)], self.inverses[len(V) :])
        with self.watch("quadratic model"):
            predicted = self._choose_update(activations, mean, V, [-layer for layer in P])
            self.weights = [W + d for W, d in zip(self.weights, self.update, strict=True)]
        if self.steps % T1 == 0:
            with self.watch("damping test"):
                before = self.output.losses(natural, targets).mean()
                after = self.output.losses(forward(self.weights, inputs)[1], targets).mean()
                self._adapt_damping((float(after) - float(before)) / predicted if predicted < 0 else np.nan)

    def _update_factors(self, activations: Layers, mean: Array) -> None:
        with self.watch("sampling pass"):
            # The derivative of each case's own loss, not of the mean: the kernel divides by N, once.
            g = backward(self.weights, activations, mean - self.output.sample(mean, self.rng))
        with self.watch("update_factors"):
            decay = min(1 - 1 / self.steps, LARGEST_DECAY)
            bias = [True] * len(self.A) + [False] * len(self.G)
            cb.update_factors(self.A + self.G, activations + g, decay=decay, bias=bias)

    def _invert_factors(self) -> None:
        for _ in range(6):
            with self.watch("factored_damping"):
                dampings = np.concatenate(cb.factored_damping(self.A, self.G, self.damping))
            with self.watch("damped_inverse"):
                result = cb.damped_inverse(self.A + self.G, dampings, out=self.inverses)
            self.repaired += int(np.sum(result.status == cb.Status.JITTERED))
            if np.all(result.ok):
                return
            # Too ill-conditioned even for the kernel's own jitter: trust the model less, in every layer.
            self.damping *= 10
        status = [cb.Status(int(s)).name for s in result.status]
        raise FloatingPointError(f"K-FAC: no inverse even at damping {self.damping:.0e}: {status}")

    def _choose_update(self, activations: Layers, mean: Array, V: Layers, proposal: Layers) -> float:
        # Sets the update to the minimiser of the quadratic model, and returns the change of loss it predicts.
        directions = [proposal, self.update]
        tangents = [directional_derivative(self.weights, activations, v) for v in directions]
        # F is the mean of J^T B B^T J over the cases, so forward passes alone give all of u^T F v.
        roots = np.stack([self.output.fisher_root(mean, t).ravel() for t in tangents])
        F = (roots @ roots.T).astype(np.float64) / len(mean)
        products = np.array([[inner(u, v) for v in directions] for u in directions])
        slopes = np.array([inner(V, v) for v in directions])
        alpha, mu = coefficients = model_minimiser(F + self.damping * products, slopes)
        dtype = V[0].dtype.type
        self.update = [dtype(alpha) * D + dtype(mu) * d0 for D, d0 in zip(*directions, strict=True)]
        return float(slopes @ coefficients / 2)

    def _adapt_damping(self, rho: float) -> None:
        if rho > 3 / 4:
            self.damping = max(OMEGA * self.damping, self.smallest_damping)
        elif not rho >= 1 / 4:  # also where rho is NaN
            self.damping /= OMEGA
