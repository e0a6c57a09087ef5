"""Gymnasium's CartPole-v1, many at once: trajectories of a random policy that a small network makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np

from curvblas.examples import network
from curvblas.examples.network import Array, Layers

SCALE = np.array([1.0, 0.5, 0.1, 0.5])
"""Of the observations, so that inputs of the network are about 1: position, speed, angle, angular speed."""


def make(count: int) -> Any:
    """Make environments that run at the same time.

    Parameters
    ----------
    count : int

    Returns
    -------
    gymnasium.vector.VectorEnv
        An episode that has ended begins anew in the step after; that step has reward 0.
    """
    return gymnasium.make_vec("CartPole-v1", num_envs=count, vectorization_mode="vector_entry_point")


def unflattened(theta: Array, sizes: Sequence[int]) -> Layers:
    """Return the layers of a network whose parameters are one vector, as views.

    Parameters
    ----------
    theta : array, shape (P,)
    sizes : sequence of int

    Returns
    -------
    list of arrays, shapes (q, p)
    """
    layers, begin = [], 0
    for p, q in pairwise(sizes):
        end = begin + q * (p + 1)
        layers.append(theta[begin:end].reshape(q, p + 1))
        begin = end
    return layers


def flattened(layers: Layers) -> Array:
    """Return the parameters of a network as one vector.

    Parameters
    ----------
    layers : list of arrays

    Returns
    -------
    array, shape (P,)
    """
    return np.concatenate([W.ravel() for W in layers])


@dataclass(frozen=True)
class Trajectories:
    """Observations (T, B, 4) before each action; actions, rewards and whether the episode still went on (T, B)."""

    observations: Array
    actions: Array
    rewards: Array
    lives: Array


class Policy:
    """Pushes to the left or to the right with the probabilities of a network with the given sizes."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = sizes

    def log_probs(self, theta: Array, observations: Array) -> Array:
        """Evaluate the logarithms of the probabilities of both actions.

        Parameters
        ----------
        theta : array, shape (P,)
            Complex too, for derivatives by complex steps.
        observations : array, shape (N, 4)

        Returns
        -------
        array, shape (N, 2)
        """
        f = network.forward(unflattened(theta, self.sizes), (observations / SCALE).astype(theta.dtype))[1]
        shifted = f - f.real.max(axis=1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))

    def gradient(self, theta: Array, observations: Array, actions: Array, weights: Array) -> Array:
        """Differentiate ``sum_n weights_n log p(actions_n)``.

        Parameters
        ----------
        theta : array, shape (P,)
        observations : array, shape (N, 4)
        actions : int array, shape (N,)
        weights : array, shape (N,)

        Returns
        -------
        array, shape (P,)
        """
        layers = unflattened(theta, self.sizes)
        activations, f = network.forward(layers, (observations / SCALE).astype(theta.dtype))
        odds = np.exp(f - f.real.max(axis=1, keepdims=True))
        rows = weights[:, None] * (np.eye(2)[actions] - odds / odds.sum(axis=1, keepdims=True))
        parts = network.gradients(activations, network.backward(layers, activations, rows))
        return flattened(parts) * len(actions)

    def run(self, theta: Array, count: int, steps: int, rng: np.random.Generator) -> Trajectories:
        """Run episodes until they end, or for some steps.

        Parameters
        ----------
        theta : array, shape (P,)
        count, steps : int
            Episodes, and the most steps of one.
        rng : numpy.random.Generator

        Returns
        -------
        Trajectories
        """
        environments = make(count)
        seen, _ = environments.reset(seed=int(rng.integers(2**31)))
        lives = np.ones(count, bool)
        columns: list[tuple[Array, ...]] = []
        for _ in range(steps):
            p = np.exp(self.log_probs(theta, seen)[:, 1])
            actions = (rng.random(count) < p).astype(np.int64)
            after, rewards, ended, _, _ = environments.step(actions)
            columns.append((seen, actions, rewards * lives, lives))
            seen, lives = after, lives & ~ended
        observations, actions, rewards, alive = (np.stack(part) for part in zip(*columns, strict=True))
        return Trajectories(observations, actions, rewards, alive)
