"""Applying a Kronecker-factored curvature to gradients: by inverses, by eigenbases, and with what step rules need."""

from dataclasses import dataclass

from ._arrays import Array, Arrays, Parameter, in_kind
from ._backend import backend_of
from .eigen import Eigenbasis

__all__ = ["PreconditionResult", "precondition", "precondition_eigen", "precondition_with_inner"]


@dataclass(frozen=True, slots=True)
class PreconditionResult:
    """Preconditioned gradients with their inner products.

    Attributes
    ----------
    product : array or list of arrays, shape (..., out_features, in_features)
        ``G_inv @ V @ A_inv``, like the gradients.
    inner : float64 array, one per matrix
        ``sum(V * product)``: the square of the length of the gradient in the metric of the inverse curvature.
    """

    product: Arrays
    inner: Array


def precondition(grads: Arrays, A_inv: Arrays, G_inv: Arrays, *, out: Arrays | None = None) -> Arrays:
    """Apply a Kronecker-factored inverse to gradients: ``G_inv @ V @ A_inv``.

    Parameters
    ----------
    grads : float32 or float64 array, shape (..., out_features, in_features), or list of arrays
        V, one matrix a layer; in_features counts the bias column.
    A_inv : array, shape (..., in_features, in_features), or list of arrays
        Used as it is, symmetric or not.
    G_inv : array, shape (..., out_features, out_features), or list of arrays
        Used as it is, symmetric or not.
    out : arrays like ``grads``
        Where the products go; may not share memory with any input.

    Returns
    -------
    array or list of arrays
        Like ``grads``, or ``out``. It is *not* multiplied by -1.

    Raises
    ------
    ValueError
        Shapes that do not fit, ``out`` that is read-only or shares memory with an input.
    TypeError
        A dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    There is no status: NaN stays within its matrix. Cost 2 m n (m + n) flops for an (m, n) gradient.
    The result has the same bits for any number of threads, alone or in a group.
    Source: Martens and Grosse 2015, section 4.2.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> cb.precondition(np.ones((1, 2)), A_inv=np.diag([1.0, 3.0]), G_inv=np.array([[2.0]]))
    array([[2., 6.]])
    """
    backend = backend_of("precondition", "grads", grads)
    product = backend.precondition(grads, A_inv, G_inv, out)
    return in_kind(product, grads) if out is None else out


def precondition_with_inner(
    grads: Arrays, A_inv: Arrays, G_inv: Arrays, *, out: Arrays | None = None
) -> PreconditionResult:
    """Apply a Kronecker-factored inverse to gradients, and measure them: also ``sum(grads * product)``.

    Parameters
    ----------
    grads : float32 or float64 array, shape (..., out_features, in_features), or list of arrays
        V, one matrix a layer; in_features counts the bias column.
    A_inv : array, shape (..., in_features, in_features), or list of arrays
        Used as it is, symmetric or not.
    G_inv : array, shape (..., out_features, out_features), or list of arrays
        Used as it is, symmetric or not.
    out : arrays like ``grads``
        Where the products go; may not share memory with any input.

    Returns
    -------
    PreconditionResult
        ``product`` like ``grads`` (or ``out``), with the bits of `precondition`; ``inner`` one per matrix.

    Raises
    ------
    ValueError
        Shapes that do not fit, ``out`` that is read-only or shares memory with an input.
    TypeError
        A dtype, device or library that does not fit, or that is mixed.

    Notes
    -----
    The inner products are summed in float64, in an order that depends on the shape alone, while the product is in the
    caches. With positive definite inverses they are positive. There is no status: NaN stays within its matrix. Cost
    2 m n (m + n + 1) flops for an (m, n) gradient. The result has the same bits for any number of threads, alone or in
    a group.

    A step ``-lr * product`` changes the model, in the metric of the curvature, by ``lr^2 sum(inner)``: scaled by
    ``min(1, sqrt(c / (lr^2 sum(inner))))`` it changes by at most c (the clip of public K-FAC codes, with c = 1e-3).
    Source: Martens and Grosse 2015, section 4.2; Ba, Grosse and Martens 2017, section 5.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> V = np.ones((1, 2))
    >>> step = cb.precondition_with_inner(V, A_inv=np.diag([1.0, 3.0]), G_inv=np.array([[2.0]]))
    >>> step.product, float(step.inner)
    (array([[2., 6.]]), 8.0)
    """
    backend = backend_of("precondition_with_inner", "grads", grads)
    product, inner = backend.precondition_with_inner(grads, A_inv, G_inv, out)
    return PreconditionResult(in_kind(product, grads) if out is None else out, in_kind(inner, grads))


def precondition_eigen(
    grads: Arrays,
    A_basis: Eigenbasis | Arrays,
    G_basis: Eigenbasis | Arrays,
    damping: Parameter,
    *,
    second_moments: Arrays | None = None,
    out: Arrays | None = None,
) -> Arrays:
    """Divide gradients by a damped curvature in its Kronecker eigenbasis: ``Q_G [(Q_G^T V Q_A) / D] Q_A^T``.

    ``D = max(s_G, 0) max(s_A, 0)^T + damping``: exact damping of ``G (x) A``. With second moments S, ``D = max(S, 0) +
    damping``: E-KFAC.

    Parameters
    ----------
    grads : float32 or float64 array, shape (..., out_features, in_features), or list of arrays
        V, one matrix a layer; in_features counts the bias column.
    A_basis : Eigenbasis of arrays (..., in_features, in_features), or of lists of arrays
        Q_A and s_A: what `eigenbasis` gives for the input factors. With ``second_moments`` the vectors alone will do,
        one a column.
    G_basis : Eigenbasis of arrays (..., out_features, out_features), or of lists of arrays
        Q_G and s_G, likewise for the factors of the output derivatives.
    damping : float >= 0, or one per matrix
        In the unit of the eigenvalues of the *product* ``G (x) A``.
    second_moments : array or list of arrays like ``grads``
        S, as `update_ekfac_moments` keeps them, in place of the products of eigenvalues.
    out : arrays like ``grads``
        Where the results go; may not share memory with any input.

    Returns
    -------
    array or list of arrays
        Like ``grads``, or ``out``. It is *not* multiplied by -1.

    Raises
    ------
    ValueError
        Shapes that do not fit, a number ``damping`` that is negative or not finite, ``out`` that is read-only or shares
        memory with an input.
    TypeError
        A dtype, device or library that does not fit, or that is mixed; a basis without eigenvalues where they are
        needed.

    Notes
    -----
    Without damping it is the pseudo-inverse: components whose curvature is at most ``max(m, n) eps`` times the largest
    one of their matrix become 0, with the eps of the dtype. With any damping above 0 nothing is cut. A zero gradient
    gives exactly zero.

    The damping may change from step to step at no cost, where `damped_inverse` would have to invert anew. Divisions and
    products of eigenvalues are in float64, so that factors of 1e30 do not overflow in float32. There is no status: NaN
    in a gradient or a failed basis stays within its matrix, and an entry of an *array* ``damping`` that is negative or
    not finite makes that matrix NaN. Cost 4 m n (m + n) flops for an (m, n) gradient. The result has the same bits for
    any number of threads, alone or in a group.
    Source: Martens and Grosse 2015, section 6.2; George et al. 2018, section 3.

    Examples
    --------
    >>> import numpy as np, curvblas as cb
    >>> A, G = cb.eigenbasis(np.diag([1.0, 3.0])), cb.eigenbasis(np.array([[2.0]]))
    >>> cb.precondition_eigen(np.array([[3.0, 7.0]]), A, G, damping=1.0)
    array([[1., 1.]])
    """
    values = [None, None]
    if second_moments is None:
        for name, basis in (("A_basis", A_basis), ("G_basis", G_basis)):
            if not isinstance(basis, Eigenbasis):
                raise TypeError(
                    f"precondition_eigen: {name} must be an Eigenbasis, or second_moments be given, "
                    f"got {type(basis).__name__}"
                )
        values = [A_basis.values, G_basis.values]
    vectors = [basis.vectors if isinstance(basis, Eigenbasis) else basis for basis in (A_basis, G_basis)]
    backend = backend_of("precondition_eigen", "grads", grads)
    step = backend.precondition_eigen(grads, *vectors, *values, second_moments, damping, out)
    return in_kind(step, grads) if out is None else out
