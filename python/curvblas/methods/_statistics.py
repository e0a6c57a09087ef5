"""The factors of the layers of a network: what they begin as, and what rows of all layers add to them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..convolution import update_conv_factors
from ..kronecker import update_factors
from ..recurrent import update_lagged_factors
from ._layers import AnyLayer, Conv, positions
from ._places import placed

Factors = dict[str, list[Any]]
NAMES = ("A", "G", "A_lagged", "G_lagged")


def is_recurrent(layer: AnyLayer) -> bool:
    """Tell whether the rows of a layer are steps of time.

    Parameters
    ----------
    layer : Layer or Conv

    Returns
    -------
    bool
    """
    return not isinstance(layer, Conv) and layer.sharing == "recurrent"


def sizes(layers: Sequence[AnyLayer]) -> dict[str, list[int]]:
    """Return the orders of all factors: A, G, and what recurrent layers have at lag 1.

    Parameters
    ----------
    layers : sequence of Layer or Conv

    Returns
    -------
    dict of lists of int
    """
    lagged = [layer for layer in layers if is_recurrent(layer)]
    groups = zip(NAMES, (layers, layers, lagged, lagged), strict=True)
    return {name: [layer.shape[name[0] == "A"] for layer in group] for name, group in groups}


def zero_factors(layers: Sequence[AnyLayer], like: Any) -> Factors:
    """Return factors to begin with.

    Parameters
    ----------
    layers : sequence of Layer or Conv
    like : array
        Whose library, device and precision they get.

    Returns
    -------
    dict of lists of arrays
    """
    dtype = np.float64 if str(like.dtype).endswith("float64") else np.float32
    return {name: [placed(np.zeros((n, n), dtype), like) for n in group] for name, group in sizes(layers).items()}


def update(factors: Factors, layers: Sequence[AnyLayer], a: list[Any], g: list[Any], decays: list[float]) -> None:
    """Update all factors in place.

    Parameters
    ----------
    factors : dict
        From `zero_factors`.
    layers : sequence of Layer or Conv
    a, g : lists of arrays
        Inputs, and derivatives of the losses of the cases, checked.
    decays : list of float
        One for each layer.
    """
    convs = [k for k, layer in enumerate(layers) if isinstance(layer, Conv)]
    linear = [k for k, layer in enumerate(layers) if not isinstance(layer, Conv)]
    recurrent = [k for k, layer in enumerate(layers) if is_recurrent(layer)]
    scales = [_scales(layer, g[k].shape, 1 - decays[k]) for k, layer in enumerate(layers)]

    def options(members: list[int], **more: Any) -> dict[str, Any]:
        bias = [layers[k].bias for k in members] + [False] * len(members)
        return {"decay": [decays[k] for k in members] * 2, "bias": bias, **more}

    def both(members: list[int]) -> list[float]:
        return [scales[k][side] for side in (0, 1) for k in members]

    if linear:
        rows = [_pooled(layers[k], a[k], g[k], factors["A"][k]) for k in linear]
        group = [factors[name][k] for name in ("A", "G") for k in linear]
        update_factors(group, [x for x, _ in rows] + [x for _, x in rows], **options(linear, scale=both(linear)))
    if convs:
        group = [factors[name][k] for name in ("A", "G") for k in convs]
        rows = [x[k] for x in (a, g) for k in convs]
        # G is the factor of a convolution of the derivatives with a kernel of one pixel.
        geometry = {"kernel_size": 1, "stride": 1, "padding": 0, "dilation": 1}
        each = {name: [getattr(layers[k], name) for k in convs] + [one] * len(convs) for name, one in geometry.items()}
        update_conv_factors(group, rows, **options(convs, scale=both(convs), **each))
    if recurrent:
        rows = [x[k] for x in (a, g) for k in recurrent]
        update_lagged_factors(factors["A_lagged"] + factors["G_lagged"], rows, symmetric=True, **options(recurrent))


def _scales(layer: AnyLayer, shape: tuple[int, ...], weight: float) -> tuple[float, float]:
    # Sums over positions in A and means in G; means in both with steps of time, whose curvature counts T by itself.
    T, N = positions(shape, layer), shape[0]
    mean = weight / N if N and T else 0.0
    over_positions = mean / max(T, 1)
    if isinstance(layer, Conv) or layer.sharing == "expand":
        return mean, over_positions
    return (over_positions, over_positions) if layer.sharing == "recurrent" else (mean, mean)


def _pooled(layer: AnyLayer, a: Any, g: Any, factor: Any) -> tuple[Any, Any]:
    if isinstance(layer, Conv) or layer.sharing != "reduce":
        return a, g
    return a.mean(axis=1, dtype=factor.dtype), g.sum(axis=1, dtype=factor.dtype)


def moment_rows(layers: Sequence[AnyLayer], a: Sequence[Any], g: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return the rows whose products are the gradients of the cases.

    Parameters
    ----------
    layers : sequence of Layer or Conv
    a, g : sequences of arrays

    Returns
    -------
    a, g : lists of arrays, shapes (N, d) or (N, T, d), (N, q) or (N, T, q)
        Patches, where the layer is a convolution.
    """
    A_rows, G_rows = [], []
    for layer, inputs, derivatives in zip(layers, a, g, strict=True):
        if isinstance(layer, Conv):
            A_rows.append(layer.patches(inputs))
            G_rows.append(
                derivatives.reshape(*derivatives.shape[:2], positions(derivatives.shape, layer)).swapaxes(1, 2)
            )
        else:
            A_rows.append(inputs)
            G_rows.append(derivatives)
    return A_rows, G_rows
