"""Kronecker factors of convolutions (KFC): the second moment of all patches, without the patch matrix.

A convolution with weights ``(out_channels, channels, *kernel)`` has the curvature block ``G (x) A``, where A is the
second moment of the patches that the kernel sees (Grosse and Martens 2016, section 3). G needs no function of its own:
see `update_conv_factors`.
"""

from typing import Any

from ._arrays import Arrays, Parameter, in_kind
from ._backend import backend_of

__all__ = ["conv_workspace_bytes", "update_conv_factors"]


def update_conv_factors(
    factors: Arrays,
    inputs: Arrays,
    kernel_size: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
    decay: Parameter = 0.95,
    scale: Parameter | None = None,
    bias: bool | list[bool] = False,
    copy: bool = False,
) -> Arrays:
    """Update the input factors of convolutions in place: ``A <- decay A + scale sum_{n, t} a_nt a_nt^T``.

    Parameters
    ----------
    factors : float32 or float64 array, shape (..., p, p), or list of arrays (p_i, p_i)
        p = channels * prod(kernel_size), one more with ``bias``; with ``groups`` > 1 the shape is (..., groups, p, p),
        one factor a group, with the channels of one group; in a list (groups_i, p_i, p_i). Symmetric; only the lower
        triangle is read, and nothing of it where ``decay`` is 0. Written whole, exactly symmetric.
    inputs : float64, float32, float16 or bfloat16 array, shape (..., N, channels, *size), or list of them
        N images of one, two or three axes. Any strides, no copy. Converted to the dtype of the factor.
    kernel_size : int, or tuple with one per axis of the images
        For a list of arrays also a list of these, one per array; so are the next four. A tuple is never one per array.
    stride : int >= 1, or tuple
        Between output positions.
    padding : int >= 0, or tuple
        Zeros on both sides.
    dilation : int >= 1, or tuple
        Between kernel offsets.
    groups : int >= 1
        Groups of channels that do not see each other.
    decay : float in [0, 1], or one per matrix; for a list of arrays one per array
        How much of the old factor stays.
    scale : float, or one per matrix; for a list of arrays one per array
        Default ``(1 - decay) / N``: a mean over images, a sum over output positions.
    bias : bool, or list of bool
        Append a 1 to each patch; it is the last row and column of the factor.
    copy : bool
        Leave ``factors`` alone and return new arrays. Needed for immutable arrays (JAX, read-only).

    Returns
    -------
    array or list of arrays
        ``factors``, or the new arrays with ``copy``.

    Raises
    ------
    ValueError
        Shapes that do not fit, a kernel larger than the padded image, no channels, channels that ``groups`` does not
        divide, a number out of range, factors that are read-only, or that share memory with an argument.
    TypeError
        A dtype, device or library that does not fit, or that is mixed within ``factors``.

    Notes
    -----
    A patch lists its channels, and for each the kernel offsets in row-major order, as ``torch.nn.functional.unfold``
    does and as ``weight.reshape(out_channels, -1)`` has its columns. The factor of the output derivatives g (N, q,
    *size) is ``update_factors(G, g.reshape(N, q, T).swapaxes(1, 2), scale=(1 - decay) / (N * T))``, T = prod(size): a
    mean over positions, so that G (x) A has the right scale.
    There is no status: NaN in the images or the factor stays within its matrix; which elements of it become NaN beside
    padding depends on the way that is taken. No images (N = 0) only decays.
    The patch matrix is never formed; with stride 1 the products of two kernel offsets that differ by the same amount
    are formed once. `conv_workspace_bytes` tells the temporary memory. Cost, with T output positions: about N T
    channels^2 prod(2 kernel_size - 1) flops with stride 1 and enough channels, else N T p^2.
    The result has the same bits for any number of threads, alone or in a group.
    Source: Grosse and Martens 2016, section 3.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> cb.update_conv_factors(np.zeros((2, 2)), np.array([[[1.0, 2.0, 3.0]]]), kernel_size=2, decay=0.0)
    array([[ 5.,  8.],
           [ 8., 13.]])
    """
    backend = backend_of("update_conv_factors", "factors", factors)
    geometry = (kernel_size, stride, padding, dilation, groups)
    updated = backend.update_conv_factors(factors, inputs, *geometry, decay, scale, bias, copy)
    return in_kind(updated, factors) if copy else factors


def conv_workspace_bytes(
    factors: Arrays,
    inputs: Arrays,
    kernel_size: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
    bias: bool | list[bool] = False,
) -> int:
    """Tell how much temporary memory `update_conv_factors` takes for these arguments.

    Parameters
    ----------
    factors, inputs : arrays
        As in `update_conv_factors`. Their values are not looked at; shapes, strides, dtypes and the device count, and
        on the CPU the number of threads.
    kernel_size, stride, padding, dilation, groups, bias : as in `update_conv_factors`
        The geometry.

    Returns
    -------
    int
        Bytes held at a time, over all threads; on the CPU each of them has a part of its own, up to a few MB.

    Raises
    ------
    ValueError
        Shapes that do not fit, or a number out of range.
    TypeError
        A dtype, device or library that does not fit, or that is mixed within ``factors``.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> images, A = np.zeros((64, 32, 56, 56), np.float32), np.zeros((288, 288), np.float32)
    >>> patch_matrix = 64 * 54 * 54 * 288 * 4
    >>> cb.conv_workspace_bytes(A, images, kernel_size=3) < patch_matrix / 10
    True
    """
    backend = backend_of("conv_workspace_bytes", "factors", factors)
    workspace = backend.conv_workspace_bytes(factors, inputs, kernel_size, stride, padding, dilation, groups, bias)
    return int(workspace)
