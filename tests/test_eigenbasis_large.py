"""Divide and conquer: orders at which it splits differently, spectra that deflate, couplings that vanish."""

import numpy as np
import pytest

import curvblas as cb
from eigenproblems import assert_is_eigenbasis, symmetric, with_spectrum

import oracle

DTYPES = [np.float32, np.float64]


def tridiagonal(diagonal, off_diagonal):
    return np.diag(diagonal) + np.diag(off_diagonal, 1) + np.diag(off_diagonal, -1)


def glued(blocks, order, glue):
    """Wilkinson matrices W_order, joined by small elements: clusters of eigenvalues that only these keep apart."""
    diagonal = np.tile(np.abs(np.arange(order) - (order - 1) / 2), blocks)
    off_diagonal = np.ones(blocks * order - 1)
    off_diagonal[order - 1 :: order] = glue
    return tridiagonal(diagonal, off_diagonal)


def assert_agrees(backend, C):
    basis = backend.eigenbasis(C)

    assert_is_eigenbasis(C, basis, slack=2)
    expected = np.linalg.eigvalsh(oracle.symmetric(C))
    assert np.abs(basis.values - expected).max() <= 20 * np.finfo(C.dtype).eps * np.linalg.norm(C)


@pytest.mark.parametrize("dtype", DTYPES)
class TestDivideAndConquer:
    @pytest.mark.parametrize("n", [33, 34, 47, 48, 49, 63, 95, 96, 97, 127, 128, 129, 200, 255, 256, 257, 300])
    def test_every_way_to_split(self, cpu, rng, n, dtype):
        assert_agrees(cpu, symmetric(rng, n, dtype))

    @pytest.mark.parametrize("n", [40, 130, 256])
    def test_spectra_that_deflate(self, cpu, rng, n, dtype):
        assert_agrees(cpu, with_spectrum(rng, np.r_[np.ones(n - n // 3), np.zeros(n // 3)], dtype))
        assert_agrees(cpu, with_spectrum(rng, 1 + 1e-9 * rng.random(n), dtype))
        assert_agrees(cpu, with_spectrum(rng, np.logspace(0, -12, n), dtype))
        assert_agrees(cpu, with_spectrum(rng, np.sign(rng.standard_normal(n)), dtype))
        assert_agrees(cpu, np.outer(np.arange(1.0, n + 1), np.arange(1.0, n + 1)).astype(dtype))

    @pytest.mark.parametrize("glue", [0, 1e-14, 1e-7, 1e-3])
    def test_glued_wilkinson_matrices(self, cpu, dtype, glue):
        assert_agrees(cpu, glued(7, 21, glue).astype(dtype))

    @pytest.mark.parametrize("n", [64, 150])
    def test_couplings_of_either_sign_and_none(self, cpu, rng, n, dtype):
        off_diagonal = rng.standard_normal(n - 1)
        off_diagonal[n // 2 - 1] = 0
        assert_agrees(cpu, tridiagonal(rng.standard_normal(n), off_diagonal).astype(dtype))
        assert_agrees(cpu, tridiagonal(2 * np.ones(n), -np.ones(n - 1)).astype(dtype))
        assert_agrees(cpu, tridiagonal(np.zeros(n), np.ones(n - 1)).astype(dtype))
        assert_agrees(cpu, tridiagonal(np.zeros(n), 10.0 ** rng.uniform(-9, 0, n - 1)).astype(dtype))

    def test_graded_matrices(self, cpu, rng, dtype):
        n = 140
        scale = np.logspace(0, -15, n)
        C = scale[:, None] * (0.5 + np.eye(n)) * scale
        assert_agrees(cpu, C.astype(dtype))
        assert_agrees(cpu, C[::-1, ::-1].astype(dtype))


class TestLargestMatrices:
    @pytest.mark.parametrize("n", [1008, 1100])
    def test_blocks_of_eigenvalues_that_no_vector_divides(self, cpu, rng, n):
        assert_agrees(cpu, symmetric(rng, n, np.float32))

    def test_matrices_that_wait_for_each_others_memory(self, cpu, rng):
        """One thread does these one after the other, two do both at a time."""
        factors = [symmetric(rng, n, np.float64) for n in (1280, 1300)]
        cb.set_num_threads(1)
        one = cpu.eigenbasis(factors)
        cb.set_num_threads(2)
        two = cpu.eigenbasis(factors)

        assert one.ok.all()
        for C, values, vectors in zip(factors, one.values, one.vectors, strict=True):
            assert np.abs(C @ vectors - vectors * values).max() <= 1e-11
        for k in range(len(factors)):
            assert np.array_equal(one.vectors[k], two.vectors[k])
            assert np.array_equal(one.values[k], two.values[k])
