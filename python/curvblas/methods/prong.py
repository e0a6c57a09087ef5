"""PRONG and PRONG+: gradient descent in coordinates in which the inputs of every layer are white.

A layer ``s = W h + b`` is written as ``s = r (V U (h - c) + d)`` with the mean c of its inputs and a root U of the
inverse of their covariance; r is 1, or with PRONG+ the standard deviation of its outputs. (V, d) are trained; (U, c, r)
are set anew from time to time, in such a way that the function of the network stays the same.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._arrays import Array, in_kind, on_cpu_as_numpy, require_state
from .._numbers import number, positive
from ..eigen import eigenbasis
from ..errors import Status
from ..kronecker import update_factors
from ..preconditioning import precondition
from . import _states
from ._float64 import float64, is_held, require_cpu
from ._layers import AnyLayer, Conv, Layer, require_grads, require_layers, require_list

__all__ = ["PRONG", "Conv", "Layer"]

_NAME = "PRONG"
_STATE = ("U", "U_inv", "means", "scales", "velocity")


class PRONG:
    """Projected natural gradients: whitened inputs for all layers of a network at a time.

    Parameters
    ----------
    layers : sequence of Layer or Conv
        The network's, in an order that all calls keep. Inputs of convolutions are whitened over their channels, all
        pixels taken for samples. Without a bias they are not centred.
    damping : float > 0
        Added to the variances of the inputs, and of outputs, in units of their mean in the layer: dead units (of
        variance 0) get steps at most ``1 / damping`` times those of others.
    momentum : float in [0, 1)
        Of gradient descent in the whitened coordinates. When these change, it is mapped along.

    Attributes
    ----------
    status : int8 array, one per layer
        Of the last `reparametrise`, see `Status`. Where it is not ``OK``, the layer keeps the coordinates that it had.
        `step` sets it to ``NOT_FINITE`` where a gradient is not finite or its step overflows, until the next one: the
        step of the layer is NaN then, not to be added; its velocity stays what it was, unless it is finite.
    damping, momentum, layers
        As given.

    Notes
    -----
    Weights are those of `curvblas.methods.kfac`: one matrix a layer, (q, p), the bias in the last column, kernels
    flattened. A step of gradient descent on (V, d) changes W and b by ``-rate r^2 grad M`` with ``M^-1 = [[Sigma + eps
    I + c c^T, c], [c^T, 1]]``: K-FAC with ``G = I``, whose damping is on the *centred* covariance. So the network
    need not be rewritten, and `step` is one native call for all layers; who wants another optimiser on (V, d) finds it
    with `whiten`, `trained`, `gradients` and `canonical`.

    PRONG+ normalises outputs by their standard deviation as batch normalisation does, but now and then, and without
    letting the cases of a minibatch see each other.

    On the CPU, in float64. Cost of `reparametrise`: ``N p^2 + 12 p^3`` flops a layer; of a step ``2 q p (q + p)``.
    Source: Desjardins, Simonyan, Pascanu and Kavukcuoglu 2015, "Natural neural networks".

    Examples
    --------
    >>> import numpy as np
    >>> from curvblas.methods import prong
    >>> method = prong.PRONG([prong.Layer(1, 1)], damping=1e-9)
    >>> method.reparametrise([np.array([[4.0], [0.0]])])  # mean 2, variance 4
    >>> np.round(method.step([np.array([[1.0, 0.0]])], rate=1.0)[0], 6)
    array([[-0.25,  0.5 ]])
    """

    def __init__(self, layers: Sequence[AnyLayer], *, damping: float = 1e-3, momentum: float = 0.0) -> None:
        self.layers = require_layers(_NAME, layers)
        self.damping = positive(_NAME, "damping", damping)
        self.momentum = number(_NAME, "momentum", momentum, lambda x: 0 <= x < 1, "a number in [0, 1)")
        self.status = np.zeros(len(self.layers), np.int8)
        self._coordinates = self.status
        self._U = [np.eye(_channels(layer)) for layer in self.layers]
        self._U_inv = [U.copy() for U in self._U]
        self._means = [np.zeros(_channels(layer)) for layer in self.layers]
        self._scales = [np.ones(layer.shape[0]) for layer in self.layers]
        # In canonical coordinates, where it stays what it is when the others change.
        self._velocity = [np.zeros(layer.shape) for layer in self.layers]
        self._set_maps()

    def reparametrise(self, inputs: list[Array], outputs: list[Array] | None = None) -> None:
        """Set the coordinates by samples of what goes through the network.

        Parameters
        ----------
        inputs : list of arrays, shapes (N, d) or (N, T, d), or images (N, channels, *size)
            Of each layer, without the bias.
        outputs : list of arrays, shapes (N, q) or (N, T, q), or (N, out_channels, *size), optional
            Of each layer before the nonlinearity: PRONG+.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            An array on a device.
        """
        owner = f"{_NAME}.reparametrise"
        rows = _samples(owner, "inputs", self.layers, inputs)
        seen = None if outputs is None else _samples(owner, "outputs", self.layers, outputs)
        means = [x.mean(axis=0) * layer.bias for x, layer in zip(rows, self.layers, strict=True)]
        centred = [x - c for x, c in zip(rows, means, strict=True)]
        covariances = update_factors([np.zeros((x.shape[1],) * 2) for x in rows], centred, decay=0.0)
        basis = eigenbasis(covariances)
        self._coordinates = basis.status.astype(np.int8) if self.layers else self._coordinates
        for k in range(len(self.layers)):
            scales = np.ones(self.layers[k].shape[0]) if seen is None else _deviations(seen[k], self.damping)
            if not np.isfinite(scales).all():
                self._coordinates[k] = Status.NOT_FINITE
            if self._coordinates[k] == Status.OK:
                Q, deviations = basis.vectors[k], np.sqrt(_damped(np.maximum(basis.values[k], 0), self.damping))
                self._U[k], self._U_inv[k] = Q / deviations @ Q.T, Q * deviations @ Q.T
                self._means[k], self._scales[k] = means[k], scales
        self.status = self._coordinates.copy()
        self._set_maps()

    def _set_maps(self) -> None:
        # Homogeneous: W = diag(r) V T, grad_V = diag(r) grad_W T^T.
        self._T = [self._map(k, U, -U @ c) for k, (U, c) in enumerate(zip(self._U, self._means, strict=True))]
        self._T_inv = [self._map(k, U, c) for k, (U, c) in enumerate(zip(self._U_inv, self._means, strict=True))]
        self._metrics = [T.T @ T for T in self._T]
        self._squares = [np.diag(r**2) for r in self._scales]

    def _map(self, k: int, U: np.ndarray, shift: np.ndarray) -> np.ndarray:
        layer = self.layers[k]
        offsets = math.prod(layer.kernel_size) if isinstance(layer, Conv) else 1
        p = layer.shape[1]
        T = np.eye(p)
        T[: p - layer.bias, : p - layer.bias] = np.kron(U, np.eye(offsets))
        if layer.bias:
            T[:-1, -1] = np.repeat(shift, offsets)
        return T

    def step(self, grads: list[Array], *, rate: float) -> list[Array]:
        """Take a step of gradient descent in the whitened coordinates.

        Parameters
        ----------
        grads : list of arrays, shapes (q, p)
            Of the mean loss with respect to the weights W, on the CPU. Not modified.
        rate : float > 0
            Learning rate.

        Returns
        -------
        list of arrays
            What to add to the weights W, like ``grads``; NaN where `status` becomes ``NOT_FINITE``.

        Raises
        ------
        ValueError
            A shape or number that does not fit.
        TypeError
            An array on a device.
        """
        rate = positive(f"{_NAME}.step", "rate", rate)
        V = self._matrices("step", "grads", grads)
        directions = precondition(V, self._metrics, self._squares)
        self.status, steps = self._coordinates.copy(), []
        for k, u in enumerate(directions):
            velocity = self.momentum * self._velocity[k] + u
            step = -rate * velocity
            if np.isfinite(velocity).all():
                self._velocity[k] = velocity
            if not is_held(step, grads[k]):
                self.status[k], step = Status.NOT_FINITE, np.full_like(step, np.nan)
            steps.append(step)
        return _like(grads, steps)

    def gradients(self, grads: list[Array]) -> list[Array]:
        """Return the gradients with respect to (V, d).

        Parameters
        ----------
        grads : list of arrays, shapes (q, p)
            With respect to W.

        Returns
        -------
        list of arrays
            ``r (grad_W - grad_b c^T) U^T``, ``r grad_b``.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            An array on a device.
        """
        V = self._matrices("gradients", "grads", grads)
        return _like(grads, precondition(V, [T.T for T in self._T], [np.diag(r) for r in self._scales]))

    def trained(self, weights: list[Array]) -> list[Array]:
        """Return the parameters (V, d) of weights.

        Parameters
        ----------
        weights : list of arrays, shapes (q, p)

        Returns
        -------
        list of arrays
            ``V = W U^-1 / r``, ``d = (b + W c) / r``.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            An array on a device.
        """
        W = self._matrices("trained", "weights", weights)
        return _like(weights, precondition(W, self._T_inv, [np.diag(1 / r) for r in self._scales]))

    def canonical(self, trained: list[Array]) -> list[Array]:
        """Return the weights that parameters (V, d) stand for.

        Parameters
        ----------
        trained : list of arrays, shapes (q, p)

        Returns
        -------
        list of arrays
            ``W = r V U``, ``b = r d - W c``.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            An array on a device.
        """
        V = self._matrices("canonical", "trained", trained)
        return _like(trained, precondition(V, self._T, [np.diag(r) for r in self._scales]))

    def whiten(self, inputs: list[Array]) -> list[Array]:
        """Return what V is applied to.

        Parameters
        ----------
        inputs : list of arrays
            As in `reparametrise`. A convolution that pads with zeros needs them padded before, and not after.

        Returns
        -------
        list of arrays
            ``U (h - c)``, like ``inputs``; float64 where these are of another dtype than float32.

        Raises
        ------
        ValueError
            A shape that does not fit.
        TypeError
            An array on a device.
        """
        rows = _samples(f"{_NAME}.whiten", "inputs", self.layers, inputs)
        found = []
        for x, layer, given, U, c in zip(rows, self.layers, inputs, self._U, self._means, strict=True):
            white = (x - c) @ U.T
            if isinstance(layer, Conv):
                found.append(np.moveaxis(white.reshape(len(given), *given.shape[2:], -1), -1, 1))
            else:
                found.append(white.reshape(given.shape))
        return _like(inputs, found)

    def _matrices(self, what: str, name: str, arrays: list[Array]) -> list[np.ndarray]:
        owner = f"{_NAME}.{what}"
        require_grads(owner, self.layers, arrays, name)
        return [float64(owner, name, x) for x in arrays]

    def state_dict(self) -> dict[str, Any]:
        """Return what a copy of this object needs to go on.

        Returns
        -------
        dict
            Lists of arrays, copied: ``U`` and ``U_inv``, ``means``, ``scales``, ``velocity``; ``status``, that of
            `reparametrise`.
        """
        lists = {name: [x.copy() for x in getattr(self, f"_{name}")] for name in _STATE}
        return {**lists, "status": self._coordinates.copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state; the layers of this object must be those of the one that it is from.

        Parameters
        ----------
        state : dict
            From `state_dict`; copied.

        Raises
        ------
        ValueError
            Entries that are missing or not finite, or shapes that do not fit the layers of this object.
        """
        for name in _STATE:
            kept, arrays = getattr(self, f"_{name}"), _states.arrays(_NAME, state, name)
            if len(arrays) != len(kept):
                raise ValueError(f"{_NAME}: state[{name!r}] must have {len(kept)} arrays, got {len(arrays)}")
            for array, old in zip(arrays, kept, strict=True):
                require_state(_NAME, name, array, old.shape, ("float64",))
                if not np.isfinite(array).all():
                    raise ValueError(f"{_NAME}: state[{name!r}] must be finite, got NaN or Inf")
        status = _states.integers(_NAME, "status", state.get("status"), len(self.layers), most=max(Status))
        for name in _STATE:
            setattr(self, f"_{name}", [np.array(x) for x in state[name]])
        self._coordinates = np.array(status, np.int8)
        self.status = self._coordinates.copy()
        self._set_maps()


def _channels(layer: AnyLayer) -> int:
    return layer.channels if isinstance(layer, Conv) else layer.in_features


def _damped(variances: np.ndarray, damping: float) -> np.ndarray:
    mean = variances.mean()
    return np.asarray(variances + damping * (mean if mean > 0 else 1.0))


def _deviations(rows: np.ndarray, damping: float) -> np.ndarray:
    return np.asarray(np.sqrt(_damped(rows.var(axis=0), damping)))


def _samples(owner: str, name: str, layers: list[AnyLayer], arrays: list[Array]) -> list[np.ndarray]:
    # As rows of float64, every position or pixel one.
    require_list(owner, name, arrays, layers)
    found = []
    for k, (layer, array) in enumerate(zip(layers, arrays, strict=True)):
        x = require_cpu(owner, f"{name}[{k}]", array)
        is_conv = isinstance(layer, Conv)
        width = _channels(layer) if name == "inputs" else layer.shape[0]
        axes = len(layer.kernel_size) + 2 if isinstance(layer, Conv) else x.ndim
        if x.ndim < 2 or x.ndim != axes or x.shape[1 if is_conv else -1] != width or not x.size:
            wanted = f"(N, {width}, *size)" if is_conv else f"(N, {width}) or (N, T, {width})"
            raise ValueError(f"{owner}: {name}[{k}] must have shape {wanted} with N > 0, got {x.shape}")
        found.append(np.asarray(np.moveaxis(x, 1, -1) if is_conv else x, np.float64).reshape(-1, width))
    return found


def _like(given: list[Array], found: list[np.ndarray]) -> list[Array]:
    # Whole numbers, pixels say, have no fractions: what is made of them is float64.
    dtypes = [on_cpu_as_numpy(x).dtype for x in given]
    kept = [dtype if dtype in (np.float32, np.float64) else np.dtype(np.float64) for dtype in dtypes]
    triples = zip(found, kept, given, strict=True)
    return [in_kind(x.astype(dtype, copy=False), like) for x, dtype, like in triples]
