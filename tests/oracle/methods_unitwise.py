"""Small networks with Fisher matrices by enumeration of their outputs."""

import copy
import itertools

import numpy as np


class Network:
    """A multilayer perceptron of tanh or of logistic units in float64; weights (q, p), the bias last."""

    is_logistic = False

    def __init__(self, rng, sizes, distribution, variance=1.0):
        self.weights = [rng.standard_normal((q, p + 1)) / np.sqrt(p) for p, q in itertools.pairwise(sizes)]
        self.distribution, self.variance = distribution, variance

    def forward(self, x):
        """Return what each layer is fed with, and the scores."""
        rows = [x]
        for W in self.weights[:-1]:
            s = rows[-1] @ W[:, :-1].T + W[:, -1]
            rows.append(1 / (1 + np.exp(-s)) if self.is_logistic else np.tanh(s))
        return rows, rows[-1] @ self.weights[-1][:, :-1].T + self.weights[-1][:, -1]

    def outputs(self, scores):
        """Return what the model expects."""
        if self.distribution == "gaussian":
            return scores
        if self.distribution == "bernoulli":
            return 1 / (1 + np.exp(-scores))
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def backward(self, rows, derivatives):
        """Return derivatives with respect to the pre-activations of each layer, from those of the scores."""
        g = [derivatives]
        for W, a in zip(self.weights[:0:-1], rows[:0:-1], strict=True):
            g.append((g[-1] @ W[:, :-1]) * self.slope(a))
        return g[::-1]

    def jacobians(self, x):
        """Return d scores / d pre-activations of each layer, (N, q, o)."""
        rows, scores = self.forward(x)
        each = [self.backward(rows, np.tile(e, (len(x), 1))) for e in np.eye(scores.shape[1])]
        return [np.stack(of_layer, axis=-1) for of_layer in zip(*each, strict=True)]

    def slopes(self, rows):
        """Return f'(s) of the hidden layers."""
        return [self.slope(a) for a in rows[1:]]

    def slope(self, a):
        """Return f'(s) where f(s) = a."""
        return a * (1 - a) if self.is_logistic else 1 - a * a

    def logistic(self):
        """Return the same function with logistic units: tanh s = 2 logistic(2 s) - 1."""
        other = copy.copy(self)
        other.is_logistic, other.weights = True, [W.copy() for W in self.weights]
        for W, before in zip(other.weights[1:], self.weights[1:], strict=True):
            W[:, :-1] = 2 * before[:, :-1]
            W[:, -1] = before[:, -1] - before[:, :-1].sum(axis=1)
        for W in other.weights[:-1]:
            W *= 2
        return other

    def fisher_blocks(self, x):
        """Return the blocks (q, p, p) of the Fisher matrix that belong to each unit, by enumeration."""
        rows, _ = self.forward(x)
        homogeneous = [np.concatenate([a, np.ones((len(a), 1))], axis=1) for a in rows]

        def squares(derivatives):
            g = self.backward(rows, derivatives)
            return [np.einsum("nk,ni,nj->nkij", d * d, a, a) for d, a in zip(g, homogeneous, strict=True)]

        return self._mean(x, squares)

    def _mean(self, x, function):
        _, scores = self.forward(x)
        p, o = self.outputs(scores), scores.shape[1]
        total = None
        for probability, y in self._draws(p, o):
            found = function((np.asarray(y) - p) / self.variance)
            weights = np.broadcast_to(probability, len(x)) / len(x)
            terms = [np.tensordot(weights, f, 1) for f in found]
            total = terms if total is None else [a + b for a, b in zip(total, terms, strict=True)]
        return total

    def _draws(self, p, o):
        """Yield probabilities (N,) and targets (N, o): all of them, or what is exact for quadratic functions."""
        if self.distribution == "gaussian":
            for e in np.eye(o) * np.sqrt(self.variance * o):
                yield from ((1 / (2 * o), p + e), (1 / (2 * o), p - e))
        elif self.distribution == "bernoulli":
            for y in map(np.array, itertools.product((0, 1), repeat=o)):
                yield (p**y * (1 - p) ** (1 - y)).prod(axis=1), y
        else:
            for k in range(o):
                yield p[:, k], np.eye(o)[k]
