"""What weighs the rows of unitwise metrics: how much the outputs depend on each unit (Ollivier 2015)."""

from collections.abc import Sequence

import numpy as np

from .._arrays import Array
from .._numbers import positive
from ._float64 import back, float64

_DISTRIBUTIONS = ("gaussian", "bernoulli", "softmax")


def natural_weights(jacobian: Array, outputs: Array, distribution: str, *, variance: float = 1.0) -> Array:
    """Weights of the unitwise natural gradient: the Fisher information of the outputs about each pre-activation.

    Parameters
    ----------
    jacobian : array, shape (N, q, o)
        Derivative of the scores of the o outputs with respect to the pre-activations of the layer's q units.
    outputs : array, shape (N, o)
        What the model expects: means, or probabilities. Not used for ``"gaussian"``.
    distribution : {"gaussian", "bernoulli", "softmax"}
        Of the outputs.
    variance : float > 0
        Of Gaussian outputs.

    Returns
    -------
    array, shape (N, q)
        ``J^T F J`` a unit, with the Fisher matrix F of the scores: for Gaussian outputs ``sum_o J_o^2 / variance``,
        for Bernoulli ones ``sum_o p_o (1 - p_o) J_o^2``, for softmax ``sum_o p_o J_o^2 - (sum_o p_o J_o)^2``.

    Raises
    ------
    ValueError
        A shape that does not fit, an unknown distribution, a variance out of range.
    TypeError
        An array of a device, or of no real numbers.

    Notes
    -----
    Computed on the host in float64, in 4 N q o flops. Source: Ollivier 2015; the activities of the paper's
    Bernoulli outputs are probabilities, whose derivatives are ``p (1 - p)`` times those of the scores.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import unitwise
    >>> unitwise.natural_weights(np.array([[[2.0]]]), np.array([[0.5]]), "bernoulli")
    array([[1.]])
    """
    owner = "natural_weights"
    J = float64(owner, "jacobian", jacobian, ("N", "q", "o"))
    if _require_distribution(owner, distribution, variance) == "gaussian":
        weights = np.square(J).sum(axis=-1) / variance
    else:
        p = float64(owner, "outputs", outputs, (J.shape[0], J.shape[2]))[:, None, :]
        if distribution == "bernoulli":
            weights = (p * (1 - p) * np.square(J)).sum(axis=-1)
        else:  # about the mean, so that nothing cancels
            weights = (p * np.square(J - (p * J).sum(axis=-1, keepdims=True))).sum(axis=-1)
    return back(weights, jacobian)


def outer_product_weights(derivatives: Array) -> Array:
    """Weights of the unitwise outer product: squares of the derivatives of each case's loss.

    Parameters
    ----------
    derivatives : array, shape (N, q)
        Of each case's own log-loss with respect to the pre-activations. With targets from `sample_outputs` the weights
        are those of the natural gradient, in expectation; with true targets those of the "empirical" Fisher matrix.

    Returns
    -------
    array, shape (N, q)

    Raises
    ------
    ValueError
        A shape that does not fit.
    TypeError
        An array of a device, or of no real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import unitwise
    >>> unitwise.outer_product_weights(np.array([[-3.0, 2.0]]))
    array([[9., 4.]])
    """
    g = float64("outer_product_weights", "derivatives", derivatives, ("N", "q"))
    return back(np.square(g), derivatives)


def sample_outputs(outputs: Array, distribution: str, rng: np.random.Generator, *, variance: float = 1.0) -> np.ndarray:
    """Draw targets from the model, for `outer_product_weights`.

    Parameters
    ----------
    outputs : array, shape (N, o)
        What the model expects: means, or probabilities.
    distribution : {"gaussian", "bernoulli", "softmax"}
        Of the outputs; softmax targets are one-hot rows.
    rng : numpy.random.Generator
    variance : float > 0
        Of Gaussian outputs.

    Returns
    -------
    float64 NumPy array, shape (N, o)
        NaN where an output is NaN; for softmax, in its whole row.

    Raises
    ------
    ValueError
        A shape that does not fit, an unknown distribution, a variance out of range.
    TypeError
        An array of a device, or of no real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import unitwise
    >>> unitwise.sample_outputs(np.array([[0.0, 1.0]]), "softmax", np.random.default_rng(0))
    array([[0., 1.]])
    """
    p = float64("sample_outputs", "outputs", outputs, ("N", "o"))
    if _require_distribution("sample_outputs", distribution, variance) == "gaussian":
        return np.asarray(p + np.sqrt(variance) * rng.standard_normal(p.shape))
    if distribution == "bernoulli":
        return np.where(np.isnan(p), np.nan, rng.random(p.shape) < p)
    thresholds = np.cumsum(p, axis=1)
    chosen = (rng.random((len(p), 1)) * thresholds[:, -1:] < thresholds).argmax(axis=1)
    return np.where(np.isnan(p).any(axis=1, keepdims=True), np.nan, np.eye(p.shape[1])[chosen])


def backpropagated_weights(
    matrices: Sequence[Array], slopes: Sequence[Array], outputs: Array, distribution: str, *, variance: float = 1.0
) -> list[Array]:
    """Weights of the backpropagated metric, for all layers of a feedforward network.

    Parameters
    ----------
    matrices : sequence of L - 1 arrays, shapes (q_l, q_{l-1})
        Weights, without biases, of every layer but the first.
    slopes : sequence of L - 1 arrays, shapes (N, q_l)
        ``f'(s)`` of every layer but the last, whose pre-activations are the scores.
    outputs : array, shape (N, o)
        What the model expects: means, or probabilities.
    distribution : {"gaussian", "bernoulli", "softmax"}
        Of the outputs.
    variance : float > 0
        Of Gaussian outputs.

    Returns
    -------
    list of L arrays, shapes (N, q_l)
        ``v_l = f'(s_l)^2 (v_{l+1} (W_{l+1} o W_{l+1}))``; at the outputs ``1 / variance``, or ``p (1 - p)``.

    Raises
    ------
    ValueError
        Shapes or numbers of layers that do not fit, an unknown distribution, a variance out of range.
    TypeError
        An array of a device, or of no real numbers.

    Notes
    -----
    The unitwise natural gradient itself for one hidden layer with Gaussian or Bernoulli outputs, another metric beyond.
    Computed on the host in float64, as much work as one backward pass. Source: Ollivier 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import unitwise
    >>> v = unitwise.backpropagated_weights([np.array([[3.0]])], [np.array([[0.5]])], np.zeros((1, 1)), "gaussian")
    >>> [x.tolist() for x in v]
    [[[2.25]], [[1.0]]]
    """
    owner = "backpropagated_weights"
    p = float64(owner, "outputs", outputs, ("N", "o"))
    gaussian = _require_distribution(owner, distribution, variance) == "gaussian"
    if len(matrices) != len(slopes):
        raise ValueError(f"{owner}: matrices must be as many as slopes, {len(slopes)}, got {len(matrices)}")
    v: list[np.ndarray] = [np.full(p.shape, 1 / variance) if gaussian else p * (1 - p)]
    for k in range(len(slopes) - 1, -1, -1):
        W = float64(owner, f"matrices[{k}]", matrices[k], (v[-1].shape[1], "q"))
        r = float64(owner, f"slopes[{k}]", slopes[k], (len(p), W.shape[1]))
        v.append(np.square(r) * (v[-1] @ np.square(W)))
    return [back(x, outputs) for x in reversed(v)]


def _require_distribution(owner: str, distribution: str, variance: float) -> str:
    if distribution not in _DISTRIBUTIONS:
        raise ValueError(f"{owner}: distribution must be one of {', '.join(_DISTRIBUTIONS)}, got {distribution!r}")
    positive(owner, "variance", variance)
    return distribution
