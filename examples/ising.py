"""A chain of quantum spins, a restricted Boltzmann machine as its wave function, and samples of that.

``H = -sum_i s^z_i s^z_{i+1} - field sum_i s^x_i`` on a ring of SPINS spins, whose ground state has no negative
amplitude. The wave function of Carleo and Troyer 2017, here with real weights and without visible biases, is
``log psi(s) = sum_j log cosh(b_j + w_j . s)`` for s in {-1, 1}^SPINS.
"""

from __future__ import annotations

import numpy as np

from curvblas.examples.network import Array

SPINS, HIDDEN = 10, 20
FIELD = 1.0  # the critical point of the long chain
CHAINS = 128
SWEEPS = 2  # between two samples of a chain


def log_cosh(z: Array) -> Array:
    """Evaluate ``log(2 cosh z)`` without overflow.

    Parameters
    ----------
    z : array

    Returns
    -------
    array
    """
    size = np.abs(z)
    return np.asarray(size + np.log1p(np.exp(-2 * size)))


class WaveFunction:
    """The machine at some weights; ``weights`` is (HIDDEN, SPINS + 1), biases b in the last column."""

    def __init__(self, weights: Array) -> None:
        self.W, self.b = weights[:, :-1], weights[:, -1]

    def angles(self, s: Array) -> Array:
        """Evaluate ``b + W s``.

        Parameters
        ----------
        s : array, shape (N, SPINS)

        Returns
        -------
        array, shape (N, HIDDEN)
        """
        return np.asarray(s @ self.W.T + self.b)

    def log_derivatives(self, s: Array) -> Array:
        """Differentiate log psi by all weights.

        Parameters
        ----------
        s : array, shape (N, SPINS)

        Returns
        -------
        array, shape (N, HIDDEN (SPINS + 1))
        """
        t = np.tanh(self.angles(s))
        with_one = np.column_stack([s, np.ones(len(s))])
        return np.reshape(t[:, :, None] * with_one[:, None, :], (len(s), -1))

    def ratios(self, s: Array) -> Array:
        """Evaluate ``psi(s with spin i flipped) / psi(s)`` for all i.

        Parameters
        ----------
        s : array, shape (N, SPINS)

        Returns
        -------
        array, shape (N, SPINS)
        """
        z = self.angles(s)
        flipped = z[:, None, :] - 2 * s[:, :, None] * self.W.T
        return np.asarray(np.exp(log_cosh(flipped).sum(axis=2) - log_cosh(z).sum(axis=1, keepdims=True)))

    def local_energies(self, s: Array) -> Array:
        """Evaluate ``(H psi)(s) / psi(s)``.

        Parameters
        ----------
        s : array, shape (N, SPINS)

        Returns
        -------
        array, shape (N,)
        """
        return np.asarray(-(s * np.roll(s, 1, axis=1)).sum(axis=1) - FIELD * self.ratios(s).sum(axis=1))

    def energy(self) -> float:
        """Evaluate the expectation of H exactly, over all states.

        Returns
        -------
        float
        """
        s = all_states()
        twice = 2 * log_cosh(self.angles(s)).sum(axis=1)
        odds = np.exp(twice - twice.max())
        return float(odds @ self.local_energies(s) / odds.sum())


def all_states() -> Array:
    """List the states of the chain.

    Returns
    -------
    array, shape (2^SPINS, SPINS)
    """
    return 1.0 - 2.0 * (np.arange(2**SPINS)[:, None] >> np.arange(SPINS) & 1)


def ground_state_energy() -> float:
    """Diagonalise H, a matrix of 2^SPINS rows.

    Returns
    -------
    float
    """
    s, numbers = all_states(), np.arange(2**SPINS)
    H = np.diag(-(s * np.roll(s, 1, axis=1)).sum(axis=1))
    for i in range(SPINS):
        H[numbers, numbers ^ (1 << i)] = -FIELD
    return float(np.linalg.eigvalsh(H)[0])


class Sampler:
    """Metropolis chains side by side that go on from step to step, one flip of a random spin after the other."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.states = rng.choice([-1.0, 1.0], (CHAINS, SPINS))

    def sample(self, psi: WaveFunction) -> Array:
        """Draw from ``psi^2``, once psi has stood still for a while.

        Parameters
        ----------
        psi : WaveFunction

        Returns
        -------
        array, shape (CHAINS, SPINS)
        """
        s, every = self.states, np.arange(CHAINS)
        z = psi.angles(s)
        log_psi = log_cosh(z).sum(axis=1)
        sites = self.rng.integers(SPINS, size=(SWEEPS * SPINS, CHAINS))
        thresholds = np.log(1 - self.rng.random(sites.shape)) / 2
        for site, threshold in zip(sites, thresholds, strict=True):
            proposed = z - 2 * s[every, site][:, None] * psi.W.T[site]
            log_proposed = log_cosh(proposed).sum(axis=1)
            taken = log_proposed - log_psi > threshold
            s[every[taken], site[taken]] *= -1
            z[taken], log_psi[taken] = proposed[taken], log_proposed[taken]
        return s
