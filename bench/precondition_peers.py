"""The peers that precondition: NumPy, SciPy, PyTorch, JAX, MKL (three ways), OpenBLAS, LIBXSMM and curvblas."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import native
from case import Check, Job
from jobs import Way, distance, fastest, times, worst

TOLERANCES = {"float32": 2e-6, "float64": 1e-14}  # about ten times what a sound answer shows here
LARGE = 512  # from here a library's own threads beat one product a thread
ROW_MAJOR, PLAIN = 101, 111

Arrays = Sequence[NDArray[Any]]


class Layers:
    """Gradients with their two matrices: three contiguous stacks, or three lists; largest first."""

    def __init__(self, shapes: Sequence[tuple[int, int]], dtype: str, *, stacked: bool) -> None:
        rng = np.random.default_rng(20)
        self.shapes, self.dtype, self.stacked = shapes, dtype, stacked
        self.V = self.drawn(rng, [(m, n) for m, n in shapes], symmetric=False)
        self.A = self.drawn(rng, [(n, n) for _, n in shapes], symmetric=True)
        self.G = self.drawn(rng, [(m, m) for m, _ in shapes], symmetric=True)
        self.P = self.each(np.zeros_like(self.argument(self.V))) if stacked else [np.zeros_like(V) for V in self.V]
        self.probes = [rng.standard_normal(n) for _, n in shapes]

    def drawn(self, rng: np.random.Generator, shapes: Sequence[tuple[int, int]], *, symmetric: bool) -> Arrays:
        """Draw matrices: views of one stack, or a list."""
        matrices = []
        for shape in shapes:
            X = rng.standard_normal(shape, dtype=np.float32).astype(self.dtype)
            matrices.append((X + X.T) / np.sqrt(4 * len(X)).astype(self.dtype) if symmetric else X)
        return self.each(np.stack(matrices)) if self.stacked else matrices

    @staticmethod
    def each(stack: NDArray[Any]) -> Arrays:
        """Return views of the members."""
        return list(stack)

    def argument(self, matrices: Arrays) -> Any:
        """Return the stack of which these are the members, or the list."""
        return matrices[0].base if self.stacked else matrices


class Precondition:
    """``G_inv V A_inv`` of every layer; a peer says how."""

    def __init__(self, layers: Layers) -> None:
        self.layers, self.dtype = layers, layers.dtype
        self.load()
        self.V, self.A, self.G, self.P = (self.group(X) for X in (layers.V, layers.A, layers.G, layers.P))

    def load(self) -> None:
        """Import the library and tell it its threads."""

    def array(self, values: NDArray[Any]) -> Any:
        """Hand an array to the library, without a copy where it takes one so."""
        return values

    def group(self, matrices: Arrays) -> list[Any]:
        """Hand over a stack as one array, or each matrix of a list."""
        arrays = [self.layers.argument(matrices)] if self.layers.stacked else matrices
        return [self.array(X) for X in arrays]

    def one(self, V: Any, A: Any, G: Any, out: Any) -> Any:
        """Multiply one layer or one stack, into ``out`` where the library can."""
        raise NotImplementedError

    def every(self) -> None:
        """Multiply all."""
        tasks = zip(self.V, self.A, self.G, self.P, strict=True)
        self.P = [self.one(*task) for task in tasks]

    def ways(self) -> Sequence[Way]:
        """List the ways in which the peer may do all of it; it is timed in the fastest."""
        return [self.every]

    def answers(self) -> Arrays:
        """Return what the last call left, one matrix each."""
        return list(np.asarray(self.P[0])) if self.layers.stacked else [np.asarray(P) for P in self.P]

    def job(self) -> Job:
        """Make a job of the fastest way."""
        return Job(fastest(self.ways()), lambda: [self.check()])

    def check(self) -> Check:
        """Compare ``P v`` with ``G_inv (V (A_inv v))`` for every layer."""
        errors = []
        layers = self.layers
        for V, A, G, P, v in zip(layers.V, layers.A, layers.G, self.answers(), layers.probes, strict=True):
            errors.append(distance(times(P, v), times(G, times(V, times(A, v)))))
        return Check("precondition", worst(errors), TOLERANCES[self.dtype])


class Curvblas(Precondition):
    """One call for all layers."""

    def load(self) -> None:
        """Import curvblas."""
        self.cb: Any = importlib.import_module("curvblas")
        layers = self.layers
        self.arguments = [layers.argument(X) for X in (layers.V, layers.A, layers.G)]
        self.out = layers.argument(layers.P)

    def every(self) -> None:
        """Multiply all in one call."""
        self.cb.precondition(*self.arguments, out=self.out)


class Numpy(Precondition):
    """NumPy's matmul, of a whole stack where there is one."""

    def one(self, V: Any, A: Any, G: Any, out: Any) -> Any:
        """Two products."""
        return np.matmul(G @ V, A, out=out)


class Scipy(Precondition):
    """SciPy's BLAS, which sees the transposed arrays; for lists."""

    def load(self) -> None:
        """Import the BLAS."""
        self.gemm: Any = getattr(importlib.import_module("scipy.linalg.blas"), f"{native.letter(self.dtype)}gemm")

    def one(self, V: Any, A: Any, G: Any, out: Any) -> Any:
        """Two products, transposed: ``A (V^T G)``."""
        self.gemm(1.0, A.T, self.gemm(1.0, V.T, G.T), c=out.T, overwrite_c=1)
        return out


class Torch(Precondition):
    """PyTorch: ``bmm`` of stacks, ``mm`` of lists, into buffers that are kept."""

    def load(self) -> None:
        """Import PyTorch."""
        self.torch: Any = importlib.import_module("torch")
        self.torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self.product = self.torch.bmm if self.layers.stacked else self.torch.mm
        buffers = [self.layers.argument(self.layers.P)] if self.layers.stacked else self.layers.P
        self.between = [self.torch.from_numpy(np.zeros_like(P)) for P in buffers]

    def array(self, values: NDArray[Any]) -> Any:
        """Share the array's memory."""
        return self.torch.from_numpy(values)

    def every(self) -> None:
        """Two products each."""
        for V, A, G, GV, P in zip(self.V, self.A, self.G, self.between, self.P, strict=True):
            self.product(G, V, out=GV)
            self.product(GV, A, out=P)


class Jax(Precondition):
    """JAX: one compiled function for all layers."""

    def load(self) -> None:
        """Import JAX; it reads NPROC."""
        self.jax: Any = importlib.import_module("jax")
        self.jax.config.update("jax_platforms", "cpu")
        self.jax.config.update("jax_enable_x64", True)

        def products(V: Sequence[Any], A: Sequence[Any], G: Sequence[Any]) -> list[Any]:
            return [g @ v @ a for v, a, g in zip(V, A, G, strict=True)]

        self.compiled = self.jax.jit(products)

    def array(self, values: NDArray[Any]) -> Any:
        """Copy, for JAX owns its arrays."""
        return self.jax.numpy.array(values)

    def every(self) -> None:
        """Multiply all, and wait for them."""
        self.P = self.jax.block_until_ready(self.compiled(self.V, self.A, self.G))


class Native(Precondition):
    """A C loop over the layers; arrays of pointers are made beforehand."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        self.count = len(layers.shapes)
        self.m, self.n = (native.integers(sizes) for sizes in zip(*layers.shapes, strict=True))
        self.pointers = [native.pointers(X) for X in (layers.V, layers.A, layers.G, layers.P)]


class OpenBlas(Native):
    """Two GEMM: large layers on the library's threads, others one a thread."""

    def load(self) -> None:
        """Load the library and the loop."""
        self.library = native.openblas()
        self.load_loop()

    def load_loop(self) -> None:
        """Compile the loop."""
        self.loop = native.compiled("native_loops", self.dtype).product_loop_of_real
        self.head = self.library.head(self.dtype, "gemm", large=LARGE)

    def every(self) -> None:
        """Multiply all."""
        self.loop(*self.head, self.count, self.m, self.n, *self.pointers)


class Mkl(OpenBlas):
    """The same with MKL; for stacks also its batches of GEMM, and its compact interface with interleaving and back."""

    def load(self) -> None:
        """Load the library and the loops."""
        self.library = native.mkl()
        self.load_loop()
        self.interleaved = native.compiled("native_compact", self.dtype).product_compact_of_real
        self.table = self.library.compact(self.dtype)
        letter = native.letter(self.dtype)
        self.batch = getattr(self.library.functions, f"cblas_{letter}gemm_batch_strided")
        self.real = native.double if letter == "d" else native.single
        self.between: Any = np.zeros_like(self.layers.argument(self.layers.P)) if self.layers.stacked else None

    def compact(self, layout: int) -> None:
        """Interleave, multiply, and undo it."""
        self.interleaved(self.table, layout, native.threads(), self.count, self.n[0], *self.pointers)

    def batched(self) -> None:
        """Two batches, on the library's threads."""
        self.library.functions.MKL_Set_Num_Threads(native.threads())
        V, A, G, P = (self.layers.argument(X) for X in (self.layers.V, self.layers.A, self.layers.G, self.layers.P))
        for left, right, product in ((G, V, self.between), (self.between, A, P)):
            m, n, k = product.shape[1], product.shape[2], left.shape[2]
            operands = [native.address(left), k, m * k, native.address(right), n, k * n]
            head = (ROW_MAJOR, PLAIN, PLAIN, m, n, k, self.real(1))
            self.batch(*head, *operands, self.real(0), native.address(product), n, m * n, self.count)

    def ways(self) -> Sequence[Way]:
        """Take the loop; of stacks any."""
        if not self.layers.stacked:
            return [self.every]
        interleaved = [functools.partial(self.compact, layout) for layout in self.library.formats()]
        return [self.every, self.batched, *interleaved]


class Xsmm(Native):
    """LIBXSMM's generated kernels."""

    def load(self) -> None:
        """Load the loop."""
        self.loop = native.compiled("native_xsmm", self.dtype).xsmm_product_of_real

    def every(self) -> None:
        """Multiply all."""
        if self.loop(native.threads(), self.count, self.m[0], self.n[0], *self.pointers):
            raise RuntimeError("no kernel of this size")
