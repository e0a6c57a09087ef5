"""One harness of affine invariance for all methods that claim it, and for some that must fail.

A layer of Bernoulli units sees inputs a, has pre-activations ``s = W [a, 1]``, and gives steps dW. In other
coordinates, ``a' = M a + b`` and ``s' = Phi s``, the same network has the weights ``W' = Phi W Om^-1`` with ``Om = [M,
b; 0, 1]``; a method is invariant if its steps there are ``dW' = Phi dW Om^-1``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import curvblas as cb
from curvblas.methods import exact, kfac, prong, relative_fisher, unitwise

N, Q, P = 80, 4, 5
TINY = 1e-14  # damping of those that want some: metrics here are of order 0.01 to 10


@dataclass(frozen=True)
class Batch:
    """What a layer has seen: homogeneous inputs, derivatives of each case's loss by s, its variances, the outputs."""

    rows: np.ndarray
    derivatives: np.ndarray
    variances: np.ndarray
    jacobian: np.ndarray  # (N, Q, Q), of the natural parameters by s

    @property
    def inputs(self):
        return self.rows[:, :-1]

    @property
    def grad(self):
        return self.derivatives.T @ self.rows / len(self.rows)

    @property
    def weights(self):
        """Fisher information of each s, whatever the others."""
        return np.einsum("nok,no->nk", self.jacobian**2, self.variances)


def _batch(rng):
    rows = np.column_stack([rng.standard_normal((N, P)) @ rng.standard_normal((P, P)) + 1, np.ones(N)])
    natural = rows @ (0.5 * rng.standard_normal((Q, P + 1))).T
    means = 1 / (1 + np.exp(-natural))
    targets = rng.random((N, Q)) < 1 / (1 + np.exp(-rng.standard_normal((N, Q))))
    return Batch(rows, means - targets, means * (1 - means), np.broadcast_to(np.eye(Q), (N, Q, Q)))


def _maps(rng, kind):
    """Om and Phi: any affine maps of inputs and maps of outputs, of inputs alone, or input by input."""
    M = np.eye(P) + 0.5 * rng.standard_normal((P, P))
    if kind == "each input":
        M = np.diag(rng.uniform(0.3, 3, P))
    Om = np.block([[M, rng.standard_normal((P, 1))], [np.zeros((1, P)), np.ones((1, 1))]])
    Phi = np.eye(Q) + 0.3 * rng.standard_normal((Q, Q))
    return Om, Phi if kind == "inputs and outputs" else np.eye(Q)


def affine_error(step: Callable[[Batch], np.ndarray], kind: str) -> float:
    """Return the relative distance of ``dW'`` from ``Phi dW Om^-1``."""
    rng = np.random.default_rng(1808)
    batch, (Om, Phi) = _batch(rng), _maps(rng, kind)
    back = np.linalg.inv(Phi)
    mapped = Batch(batch.rows @ Om.T, batch.derivatives @ back, batch.variances, batch.jacobian @ back)
    expected = Phi @ step(batch) @ np.linalg.inv(Om)
    return float(np.linalg.norm(step(mapped) - expected) / np.linalg.norm(expected))


def _fisher_rows(batch):
    J = np.einsum("nok,np->nokp", batch.jacobian, batch.rows).reshape(N, Q, -1)
    return (np.sqrt(batch.variances / N)[..., None] * J).reshape(N * Q, -1)


def exact_step(batch):
    F = _fisher_rows(batch)
    return exact.explicit_solve(F.T @ F, batch.grad.ravel(), TINY).solution.reshape(Q, P + 1)


def kfac_step(method):
    def step(batch):
        state = kfac.KFAC([kfac.Layer(Q, P)], damping=0.0 if method == "factored" else TINY, method=method)
        state.update([batch.inputs], [batch.derivatives])
        return state.precondition([batch.grad])[0]

    return step


def prong_step(batch):
    state = prong.PRONG([prong.Layer(Q, P)], damping=TINY)
    state.reparametrise([batch.inputs])
    return state.step([batch.grad], rate=1.0)[0]


def unitwise_step(batch):
    return unitwise.UnitwiseNaturalGradient(damping=TINY).precondition(batch.grad, batch.inputs, batch.weights)


def quasi_diagonal_step(batch):
    return unitwise.QuasiDiagonalNaturalGradient().precondition(batch.grad, batch.inputs, batch.weights)


def relative_step(batch):
    state = relative_fisher.RelativeNaturalGradient(["sigmoid"], damping=TINY)
    # The pre-activations whose variances these are; the metric does not see their sign.
    outputs = np.arccosh(0.5 / np.sqrt(batch.variances)) * 2
    return state.precondition([batch.grad], [batch.inputs], [outputs])[0]


def kalman_step(batch):
    F = _fisher_rows(batch)
    state = cb.KalmanNaturalGradient(Q * (P + 1), covariance=1 / TINY)
    H, e = np.linalg.qr(F)[1], batch.grad.ravel()
    return state.step(H, np.linalg.solve(H.T, e), np.ones(len(H))).reshape(Q, P + 1)


def gradient_step(batch):
    return batch.grad


def adam_step(batch):
    return np.sign(batch.grad)  # its first step


def diagonal_step(batch):
    return batch.grad / (batch.weights.T @ batch.rows**2 / N)


EVERYTHING, INPUTS, EACH_INPUT = "inputs and outputs", "inputs", "each input"
INVARIANT = {
    "exact": (exact_step, EVERYTHING, 1e-9),
    "kalman": (kalman_step, EVERYTHING, 1e-9),
    "kfac": (kfac_step("factored"), EVERYTHING, 1e-12),
    "kfac in eigenbases": (kfac_step("eigen"), EVERYTHING, 1e-9),
    "prong": (prong_step, INPUTS, 1e-9),
    "unitwise": (unitwise_step, INPUTS, 1e-9),
    "relative_fisher": (relative_step, INPUTS, 1e-10),
    "quasi-diagonal": (quasi_diagonal_step, EACH_INPUT, 2e-13),
}
"""Step, the maps it does not see, and the bound of its error."""
NOT_INVARIANT = {
    "gradient descent": (gradient_step, EACH_INPUT),
    "Adam": (adam_step, EACH_INPUT),
    "diagonal": (diagonal_step, EACH_INPUT),
    "quasi-diagonal": (quasi_diagonal_step, INPUTS),
    "prong": (prong_step, EVERYTHING),
    "unitwise": (unitwise_step, EVERYTHING),
}
"""Step, and maps that change it."""


def _identity(name):
    step, kind, bound = INVARIANT[name]

    def invariance() -> float:
        return affine_error(step, kind)

    invariance.__name__ = f"invariance_of_{name.replace(' ', '_').replace('-', '_')}"
    invariance.__doc__ = f"Step of {name} after affine maps of {kind} == the step before, mapped."
    return invariance, bound


IDENTITIES = [_identity(name) for name in INVARIANT]
