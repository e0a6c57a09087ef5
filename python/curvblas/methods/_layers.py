"""What a layer is to Kronecker-factored curvature: its sizes, and how its weights are shared."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from .._numbers import count

SHARINGS = ("none", "expand", "reduce", "recurrent")
_DTYPES = ("float64", "float32", "float16", "bfloat16")


@dataclass(frozen=True, slots=True)
class Layer:
    """A linear layer, ``s = W [a, 1]``.

    Attributes
    ----------
    out_features, in_features : int >= 1
        Without the bias.
    bias : bool
        Whether W has a last column for an input that is 1.
    sharing : {"none", "expand", "reduce", "recurrent"}
        Who shares the weights. ``"none"``: rows are (N, d). The others have rows (N, T, d): N cases of T positions or
        steps of time. ``"expand"``: the loss is a sum of losses of positions (tokens with a target each). ``"reduce"``:
        the loss is one of pooled positions (a class of a sequence). ``"recurrent"``: positions are steps of time,
        whose rows correlate (Martens, Ba and Johnson 2018, option 1, transitions taken for symmetric); a refresh takes
        T from the last minibatch.
    """

    out_features: int
    in_features: int
    bias: bool = True
    sharing: str = "none"

    def __post_init__(self) -> None:
        for name in ("out_features", "in_features"):
            count("Layer", name, getattr(self, name))
        if self.sharing not in SHARINGS:
            raise ValueError(f"Layer: sharing must be one of {', '.join(SHARINGS)}, got {self.sharing!r}")

    @property
    def shape(self) -> tuple[int, int]:
        """Of its weights and gradients, (q, p), with the column of the bias."""
        return self.out_features, self.in_features + self.bias

    def shapes(self, inputs: tuple[int, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Return the shapes that rows must have.

        Parameters
        ----------
        inputs : tuple of int
            The shape that the inputs have, whose leading axes the derivatives must have too.

        Returns
        -------
        inputs, derivatives : tuples
            With names where any number will do.
        """
        names = ("N",) if self.sharing == "none" else ("N", "T")
        leading = inputs[:-1] if len(inputs) == len(names) + 1 else names
        return (*leading, self.in_features), (*leading, self.out_features)


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution; its weights are those of ``(out_channels, channels, *kernel_size)``, flattened to a matrix.

    Attributes
    ----------
    out_channels, channels : int >= 1
    kernel_size : tuple of int
        One for each axis of the images, one to three.
    stride, padding, dilation : int, or tuple of int
        As in `curvblas.update_conv_factors`. A grouped convolution is one layer for each group.
    bias : bool
        Whether a last column of the weights is the bias.
    """

    out_channels: int
    channels: int
    kernel_size: tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] = 0
    dilation: int | tuple[int, ...] = 1
    bias: bool = True

    def __post_init__(self) -> None:
        for name in ("out_channels", "channels"):
            count("Conv", name, getattr(self, name))
        if not isinstance(self.kernel_size, tuple) or not 1 <= len(self.kernel_size) <= 3:
            raise ValueError(f"Conv: kernel_size must be a tuple of one to three ints, got {self.kernel_size!r}")
        for size in self.kernel_size:
            count("Conv", "kernel_size", size)
        for name, least in (("stride", 1), ("padding", 0), ("dilation", 1)):
            each = self.each(name)
            if len(each) != len(self.kernel_size) or any(not isinstance(x, int) or x < least for x in each):
                wanted = f"an int >= {least}, or a tuple of {len(self.kernel_size)}"
                raise ValueError(f"Conv: {name} must be {wanted}, got {getattr(self, name)!r}")

    def each(self, name: str) -> tuple[int, ...]:
        """Return the stride, padding or dilation of every axis.

        Parameters
        ----------
        name : str

        Returns
        -------
        tuple of int
        """
        value = getattr(self, name)
        return value if isinstance(value, tuple) else (value,) * len(self.kernel_size)

    @property
    def shape(self) -> tuple[int, int]:
        """Of its weights and gradients as a matrix, (q, p), with the column of the bias."""
        return self.out_channels, self.channels * math.prod(self.kernel_size) + self.bias

    def shapes(self, inputs: tuple[int, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Return the shapes that inputs and derivatives must have.

        Parameters
        ----------
        inputs : tuple of int
            The shape that the inputs have.

        Returns
        -------
        inputs, derivatives : tuples
            With names where any number will do.
        """
        if len(inputs) != len(self.kernel_size) + 2:
            return ("N", self.channels, *["size"] * len(self.kernel_size)), ("N", self.out_channels, "...")
        each = zip(
            inputs[2:], self.kernel_size, *(self.each(x) for x in ("stride", "padding", "dilation")), strict=True
        )
        outputs = [(size + 2 * pad - dilation * (k - 1) - 1) // step + 1 for size, k, step, pad, dilation in each]
        return (inputs[0], self.channels, *inputs[2:]), (inputs[0], self.out_channels, *outputs)

    def patches(self, images: np.ndarray) -> np.ndarray:
        """Return what the kernel sees, as the rows of a layer with shared weights.

        Parameters
        ----------
        images : NumPy array, shape (N, channels, *size)

        Returns
        -------
        array, shape (N, T, channels * prod(kernel_size))
            A copy, prod(kernel_size) times as large as the images.
        """
        axes = len(self.kernel_size)
        stride, padding, dilation = (self.each(x) for x in ("stride", "padding", "dilation"))
        padded = np.pad(images, [(0, 0), (0, 0), *((p, p) for p in padding)])
        extents = [d * (k - 1) + 1 for k, d in zip(self.kernel_size, dilation, strict=True)]
        windows = np.lib.stride_tricks.sliding_window_view(padded, extents, axis=tuple(range(2, 2 + axes)))
        steps = [slice(None), slice(None), *(slice(None, None, x) for x in stride + dilation)]
        windows = windows[tuple(steps)]
        positions = math.prod(windows.shape[2 : 2 + axes])
        p = self.channels * math.prod(self.kernel_size)
        return np.moveaxis(windows, 1, 1 + axes).reshape(len(images), positions, p)


AnyLayer = Layer | Conv


def positions(shape: tuple[int, ...], layer: AnyLayer) -> int:
    """Return how many positions of a case share the weights.

    Parameters
    ----------
    shape : tuple of int
        Of the derivatives.
    layer : Layer or Conv

    Returns
    -------
    int
    """
    return math.prod(shape[2:]) if isinstance(layer, Conv) else math.prod(shape[1:-1])


def require_layers(owner: str, layers: Any) -> list[AnyLayer]:
    """Return the layers of a network as a list.

    Parameters
    ----------
    owner : str
        The class, named in errors.
    layers : sequence of Layer or Conv

    Returns
    -------
    list

    Raises
    ------
    TypeError
        Anything else.
    """
    found = list(layers) if isinstance(layers, list | tuple) else [layers]
    for k, layer in enumerate(found):
        if not isinstance(layer, Layer | Conv):
            raise TypeError(f"{owner}: layers[{k}] must be a Layer or a Conv, got {type(layer).__name__}")
    return found


def require_list(owner: str, name: str, arrays: Any, layers: list[AnyLayer]) -> None:
    """Refuse what is not a list of one array for each layer.

    Parameters
    ----------
    owner, name : str
        Named in errors.
    arrays : list or tuple
        The argument.
    layers : list

    Raises
    ------
    TypeError
        No list, or what is in it has no shape, or requires gradients.
    ValueError
        Another length.
    """
    if not isinstance(arrays, list | tuple):
        raise TypeError(f"{owner}: {name} must be a list of {len(layers)} arrays, got {type(arrays).__name__}")
    if len(arrays) != len(layers):
        raise ValueError(f"{owner}: {name} must be a list of {len(layers)} arrays, got {len(arrays)}")
    for k, array in enumerate(arrays):
        if not hasattr(array, "shape") or not hasattr(array, "dtype"):
            raise TypeError(f"{owner}: {name}[{k}] must be an array, got {type(array).__name__}")
        if getattr(array, "requires_grad", False):
            raise TypeError(f"{owner}: {name}[{k}] must not require gradients, pass {name}[{k}].detach()")


def require_rows(owner: str, layers: list[AnyLayer], inputs: list[Array], derivatives: list[Array]) -> None:
    """Refuse inputs and derivatives that do not fit the layers, or each other.

    Parameters
    ----------
    owner : str
        Named in errors.
    layers : list
    inputs, derivatives : lists of arrays

    Raises
    ------
    TypeError
        A dtype, or a library, that does not fit.
    ValueError
        A shape, or a length, that does not fit.
    """
    for name, arrays in (("inputs", inputs), ("derivatives", derivatives)):
        require_list(owner, name, arrays, layers)
        for k, array in enumerate(arrays):
            dtype = str(array.dtype).rpartition(".")[-1]
            if dtype not in _DTYPES:
                raise TypeError(f"{owner}: {name}[{k}] must be of {', '.join(_DTYPES)}, got {dtype}")
            if dtype == "bfloat16" and not isinstance(array, np.ndarray) and _is_on_cpu(array):
                kind = type(array).__module__
                raise TypeError(f"{owner}: {name}[{k}] must be NumPy's to be bfloat16 on the CPU, got one of {kind}")
            if type(array) is not type(inputs[0]):
                kinds = type(inputs[0]).__module__, type(array).__module__
                raise TypeError(
                    f"{owner}: {name}[{k}] must be an array of {kinds[0]} like inputs[0], got one of {kinds[1]}"
                )
    for k, (layer, a, g) in enumerate(zip(layers, inputs, derivatives, strict=True)):
        wanted = layer.shapes(tuple(a.shape))
        for name, array, shape in (("inputs", a, wanted[0]), ("derivatives", g, wanted[1])):
            if tuple(array.shape) != shape:
                shown = f"({', '.join(map(str, shape))})"
                raise ValueError(f"{owner}: {name}[{k}] must have shape {shown}, got {tuple(array.shape)}")


def _is_on_cpu(array: Array) -> bool:
    return hasattr(array, "__dlpack_device__") and array.__dlpack_device__()[0] == 1


def require_grads(owner: str, layers: list[AnyLayer], grads: list[Array], name: str = "grads") -> None:
    """Refuse gradients, or other matrices in the shapes of the weights, that do not fit the layers.

    Parameters
    ----------
    owner : str
        Named in errors.
    layers : list
    grads : list of arrays
    name : str
        Of the argument, named in errors.

    Raises
    ------
    ValueError
        A shape, or a length, that does not fit.
    """
    require_list(owner, name, grads, layers)
    for k, (layer, V) in enumerate(zip(layers, grads, strict=True)):
        if tuple(V.shape) != layer.shape:
            raise ValueError(f"{owner}: {name}[{k}] must have shape {layer.shape}, got {tuple(V.shape)}")
