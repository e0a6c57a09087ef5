"""The peers that update a convolution's factor: patches formed and multiplied, each library in its best way."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

import factor_peers
from factor_batch import DECAY, Accumulation, RunningFactor
from factor_peers import average, mirror
from jobs import Vector, Way


def within(*spatial: slice) -> tuple[slice, ...]:
    """Index maps: all cases, all channels, these parts of the other axes."""
    return (slice(None), slice(None), *spatial)


class Convolution(NamedTuple):
    """A layer and its batch, in one to three dimensions."""

    batch: int
    channels: int
    spatial: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: int = 1
    padding: int = 0

    @property
    def outputs(self) -> tuple[int, ...]:
        """Return the shape of the output positions."""
        sizes = zip(self.spatial, self.kernel, strict=True)
        return tuple((size + 2 * self.padding - k) // self.stride + 1 for size, k in sizes)

    @property
    def positions(self) -> int:
        """Return T, the output positions of a case."""
        return int(np.prod(self.outputs))

    @property
    def size(self) -> int:
        """Return n, the length of a patch."""
        return self.channels * int(np.prod(self.kernel))

    def windows(self, padded: NDArray[np.float32]) -> Iterator[tuple[tuple[int, ...], NDArray[np.float32]]]:
        """List the offsets in a patch, each with what all patches have there: a view ``(B, C, *outputs)``."""
        for offset in itertools.product(*map(range, self.kernel)):
            ends = zip(offset, self.outputs, strict=True)
            where = [slice(first, first + self.stride * (count - 1) + 1, self.stride) for first, count in ends]
            yield offset, padded[within(*where)]


class Patches(RunningFactor):
    """A factor of all patches of ``X``, ``(B, C, *spatial)``, in the order ``(C, *kernel)``."""

    def __init__(self, rng: np.random.Generator, layer: Convolution) -> None:
        super().__init__(rng, layer.size)
        self.layer = layer
        self.X = rng.standard_normal((layer.batch, layer.channels, *layer.spatial), dtype=np.float32)

    def padded(self) -> NDArray[np.float32]:
        """Return the inputs with their border of zeros."""
        border = [(self.layer.padding,) * 2] * len(self.layer.spatial)
        return np.pad(self.X, [(0, 0), (0, 0), *border])

    def moment_times(self, u: Vector) -> Vector:
        """Convolve with u, which gives ``a . u`` for every patch a; correlate with that, which adds them up."""
        layer, axes = self.layer, "xyz"[: len(self.layer.spatial)]
        padded = self.padded()
        taps: Vector = np.moveaxis(u.reshape(layer.channels, *layer.kernel), 0, -1)
        convolved = np.zeros((layer.batch, *layer.outputs))
        for offset, window in layer.windows(padded):
            convolved += np.einsum(f"bc{axes},c->b{axes}", window, taps[offset])
        correlated = np.empty_like(taps)
        for offset, window in layer.windows(padded):
            correlated[offset] = np.einsum(f"bc{axes},b{axes}->c", window, convolved)
        return np.moveaxis(correlated, -1, 0).ravel()


class Layered(Accumulation):
    """One factor of patches."""

    def __init__(self, sources: Sequence[Patches]) -> None:
        self.layer = sources[0].layer
        self.scale = (1 - DECAY) / self.layer.batch
        super().__init__(sources)


class Im2col(Layered):
    """Patches in a buffer that is kept, from inputs in another with a border of zeros."""

    def __init__(self, sources: Sequence[Patches]) -> None:
        super().__init__(sources)
        layer, d = self.layer, len(self.layer.spatial)
        self.padded = sources[0].padded()
        self.interior = self.padded[within(*(slice(layer.padding, layer.padding + size) for size in layer.spatial))]
        steps = within(*[slice(None, None, layer.stride)] * d)
        axes = tuple(range(2, 2 + d))
        view = sliding_window_view(self.padded, layer.kernel, axis=axes)[steps]
        outputs, taps = axes, tuple(range(2 + d, 2 + 2 * d))
        self.row_view = view.transpose(0, *outputs, 1, *taps)
        self.column_view = view.transpose(1, *taps, 0, *outputs)
        self.row_buffer = np.zeros(self.row_view.shape, np.float32)
        self.column_buffer = np.zeros(self.column_view.shape, np.float32)

    def patch_rows(self) -> NDArray[np.float32]:
        """Form the patches ``(B T, n)``: the usual way, a few numbers at a time."""
        np.copyto(self.interior, self.rows[0])
        np.copyto(self.row_buffer, self.row_view)
        return self.row_buffer.reshape(-1, self.layer.size)

    def patch_columns(self) -> NDArray[np.float32]:
        """Form them as ``(n, B T)``, a line of the outputs at a time."""
        np.copyto(self.interior, self.rows[0])
        np.copyto(self.column_buffer, self.column_view)
        return self.column_buffer.reshape(self.layer.size, -1)

    def from_rows(self) -> None:
        """Update from rows."""
        raise NotImplementedError

    def from_columns(self) -> None:
        """Update from columns."""
        raise NotImplementedError

    def ways(self) -> Sequence[Way]:
        """List both layouts."""
        return [self.from_rows, self.from_columns]


class Numpy(Im2col):
    """A SYRK of the patches, then the average."""

    def from_rows(self) -> None:
        """Update from rows."""
        X = self.patch_rows()
        average(self.factors[0], X.T @ X, self.layer.batch)

    def from_columns(self) -> None:
        """Update from columns."""
        X = self.patch_columns()
        average(self.factors[0], X @ X.T, self.layer.batch)


class Scipy(Im2col, factor_peers.Scipy):
    """A SYRK with the moving average inside, then the mirror image."""

    def from_rows(self) -> None:
        """Update from rows."""
        self.syrk(self.patch_rows().T, transposed=0)

    def from_columns(self) -> None:
        """Update from columns."""
        self.syrk(self.patch_columns().T, transposed=1)

    def syrk(self, X: Any, *, transposed: int) -> None:
        """Multiply what BLAS sees, mirror."""
        C = self.factors[0]
        self.blas.ssyrk(self.scale, X, beta=DECAY, c=C.T, trans=transposed, lower=1, overwrite_c=1)
        mirror(C)


class Mkl(Im2col, factor_peers.Mkl):
    """The same with MKL."""

    def from_rows(self) -> None:
        """Update from rows."""
        self.multiply(self.patch_rows(), transposed=True)

    def from_columns(self) -> None:
        """Update from columns."""
        self.multiply(self.patch_columns(), transposed=False)

    def multiply(self, X: NDArray[np.float32], *, transposed: bool) -> None:
        """Multiply, mirror."""
        self.syrk(self.factors[0], X, self.scale, DECAY, transposed=transposed)
        mirror(self.factors[0])


class Torch(Layered, factor_peers.Torch):
    """`unfold`, and a product with the moving average inside."""

    def unfolded(self) -> Any:
        """Return the patches ``(B, n, T)``."""
        layer, X, d = self.layer, self.rows[0], len(self.layer.spatial)
        functional = self.torch.nn.functional
        if d < 3:  # one dimension is two, of which one has length 1
            lead = (1,) * (2 - d)
            kernel, padding = (*lead, *layer.kernel), (*((0,) * (2 - d)), *((layer.padding,) * d))
            maps = X.reshape(layer.batch, layer.channels, *lead, *layer.spatial)
            return functional.unfold(maps, kernel, padding=padding, stride=layer.stride)
        view = functional.pad(X, (layer.padding,) * (2 * d))
        for axis, k in enumerate(layer.kernel, start=2):
            view = view.unfold(axis, k, layer.stride)
        return view.permute(0, 1, 5, 6, 7, 2, 3, 4).reshape(layer.batch, layer.size, -1)

    def one_product(self) -> None:
        """Put all patches in rows, multiply once."""
        X = self.unfolded().transpose(1, 2).reshape(-1, self.layer.size)
        self.factors[0].addmm_(X.t(), X, beta=DECAY, alpha=self.scale)

    def case_by_case(self) -> None:
        """Multiply the patches of each case as they are, and add."""
        X = self.unfolded()
        self.factors[0].addbmm_(X, X.mT, beta=DECAY, alpha=self.scale)

    def ways(self) -> Sequence[Way]:
        """List both."""
        return [self.one_product, self.case_by_case]


class TorchKfac(Torch):
    """As K-FAC packages write it: unfold, transpose, reshape, divide, multiply, then the moving average."""

    def usual(self) -> None:
        """Do these steps; the mean is over the cases."""
        rows = self.unfolded().transpose(1, 2).reshape(-1, self.layer.size)
        moment = rows.t() @ (rows / self.layer.batch)
        self.factors[0].mul_(DECAY).add_(moment, alpha=1 - DECAY)

    def ways(self) -> Sequence[Way]:
        """List it."""
        return [self.usual]


class Jax(Layered, factor_peers.Jax):
    """Patches by `conv_general_dilated_patches` and their product, in one compiled function."""

    def moment(self, X: Any, bias: bool) -> Any:
        """Sum over cases and positions."""
        layer = self.layer
        padding, strides = [(layer.padding,) * 2] * len(layer.kernel), (layer.stride,) * len(layer.kernel)
        patches = self.jax.lax.conv_general_dilated_patches(X, layer.kernel, strides, padding)
        patches = patches.reshape(layer.batch, layer.size, -1)
        return self.jax.numpy.einsum("bnt,bmt->nm", patches, patches)


class KfacJax(Jax):
    """`patches_moments` of kfac-jax, whose order ``(*kernel, C)`` is changed to ours in the compiled function."""

    def load(self) -> None:
        """Import both."""
        super().load()
        self.kfac_jax: Any = importlib.import_module("kfac_jax")

    def moment(self, X: Any, bias: bool) -> Any:
        """Sum over cases and positions, for two dimensions without padding."""
        layer = self.layer
        maps = X.transpose(0, 2, 3, 1)
        moment, _ = self.kfac_jax.patches_moments(maps, layer.kernel, strides=layer.stride, padding="VALID")
        patch = (*layer.kernel, layer.channels)
        return moment.reshape(*patch, *patch).transpose(2, 0, 1, 5, 3, 4).reshape(layer.size, layer.size)


class Curvblas(Layered, factor_peers.Curvblas):
    """One call, no patches."""

    def update_factors(self) -> None:
        """Update the factor."""
        layer = self.layer
        self.cb.update_conv_factors(
            self.factors[0], self.rows[0], layer.kernel, stride=layer.stride, padding=layer.padding, decay=DECAY
        )
