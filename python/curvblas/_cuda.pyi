from typing import Any

import numpy as np

architectures: str

class Array:
    @staticmethod
    def to_device(array: np.ndarray[Any, Any]) -> Array: ...
    def to_host(self) -> np.ndarray[Any, Any]: ...
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...
    def __dlpack__(
        self, *, stream: int | None = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...

def update_factors(factors: Any, rows: Any, decay: Any, scale: Any, weights: Any, bias: Any, copy: Any) -> Any: ...
def update_conv_factors(
    factors: Any,
    inputs: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    decay: Any,
    scale: Any,
    bias: Any,
    copy: Any,
) -> Any: ...
def conv_workspace_bytes(
    factors: Any,
    inputs: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    bias: Any,
) -> int: ...
def factored_damping(A: Any, G: Any, damping: Any) -> tuple[Any, Any]: ...
def factored_dampings(factors: Any, damping: Any) -> tuple[Any, ...]: ...
def damped_inverse(
    factors: Any, damping: Any, warm_start: Any, on_failure: Any, out: Any
) -> tuple[Any, Any, Any, Any, Any, int, int, int]: ...
def eigenbasis(factors: Any, warm_start: Any) -> tuple[Any, Any, Any, Any]: ...
def precondition(grads: Any, A_inv: Any, G_inv: Any, out: Any) -> Any: ...
def damped_cholesky(
    factors: Any, damping: Any, on_failure: Any, out: Any
) -> tuple[Any, Any, Any, Any, int, int, int]: ...
def triangular_solve(factors: Any, rhs: Any, transpose: Any, out: Any) -> Any: ...
def cholesky_solve(factors: Any, rhs: Any, out: Any) -> Any: ...
def inverse_root(factors: Any, p: Any, damping: Any, method: Any) -> tuple[Any, Any, Any]: ...
def newton_schulz(matrices: Any, steps: Any, coefficients: Any) -> Any: ...
def precondition_with_inner(grads: Any, A_inv: Any, G_inv: Any, out: Any) -> tuple[Any, Any]: ...
def precondition_eigen(
    grads: Any,
    A_vectors: Any,
    G_vectors: Any,
    A_values: Any,
    G_values: Any,
    second_moments: Any,
    damping: Any,
    out: Any,
) -> Any: ...
def kron_sum_solve(A: Any, B: Any, C: Any, D: Any, Z: Any, sign: float, out: Any) -> tuple[Any, Any, Any]: ...
def update_inverse_free(
    K: Any,
    C: Any,
    A: Any,
    G: Any,
    K_momentum: Any,
    C_momentum: Any,
    damping: Any,
    step: Any,
    momentum: Any,
    rule: Any,
    copy: Any,
) -> tuple[Any, Any, Any, Any]: ...
def all_finite(arrays: Any) -> bool: ...
def pack_symmetric(factors: Any, out: Any) -> Any: ...
def unpack_symmetric(flat: Any, sizes: Any, out: Any) -> Any: ...
def update_ekfac_moments(
    second_moments: Any,
    A_rows: Any,
    G_rows: Any,
    A_basis: Any,
    G_basis: Any,
    decay: Any,
    scale: Any,
    bias: Any,
    copy: Any,
) -> Any: ...
def update_lagged_factors(
    factors: Any, rows: Any, lag: Any, symmetric: Any, decay: Any, scale: Any, bias: Any, copy: Any
) -> Any: ...
def gram(rows: Any) -> Any: ...
def gram_products(rows: Any, vectors: Any) -> tuple[Any, Any]: ...
def low_rank_solve(basis: Any, values: Any, damping: Any, grads: Any, out: Any) -> Any: ...
def ong_memory(X: list[Any], columns: list[int], ranks: list[int], is_list: bool) -> tuple[Any, Any, Any]: ...
def ong_step(
    X: list[Any],
    columns: list[int],
    is_list: bool,
    rows: list[Any],
    values: list[Any],
    rho: list[Any],
    eta: list[float],
    updates: bool,
    passes: list[int],
    alpha: float,
    epsilon: float,
    delta: float,
) -> tuple[list[Any], Any]: ...
def sample_space_solve(
    jacobian: Any, rhs: Any, damping: Any, previous: Any, momentum: Any, is_complex: bool
) -> tuple[Any, Any]: ...
def layer_gram(A_rows: Any, G_rows: Any, bias: Any) -> Any: ...
def sample_space_solve_layers(A_rows: Any, G_rows: Any, rhs: Any, damping: Any, bias: Any) -> tuple[Any, Any]: ...
def tonga_memory(gradients: Any, slots: int, begins: Any) -> tuple[Any, Any, Any]: ...
def tonga_step(
    basis: Any,
    squares: Any,
    damping: Any,
    gradients: Any,
    begins: Any,
    rank: int,
    decay: float,
    initial_damping: float,
    min_damping: float,
    factor: float,
    count: int,
    is_new: bool,
) -> tuple[Any, Any, int]: ...
def device_name() -> str: ...
def why_not_usable() -> str: ...
