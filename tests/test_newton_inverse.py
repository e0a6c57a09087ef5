"""Damped inverses by Newton-Schulz steps from earlier ones: where they lead, and that nothing else is ever theirs."""

import numpy as np
import pytest

from curvblas import Status
from newton import DAMPING, by_steps, largest_residual, newton, same, start_for

import oracle
from cases import spd


class TestSteps:
    @pytest.mark.parametrize("n", [1, 2, 3, 31, 33, 64, 65, 130])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_inverse_and_residual(self, backend, rng, n, dtype):
        C = spd(rng, n, dtype)

        result = newton(backend, C, start_for(C))

        true = np.linalg.norm(
            (oracle.symmetric(C) + DAMPING * np.eye(n)) @ np.float64(result.inverse) - np.eye(n),
        )
        assert by_steps(result)
        assert result.ok
        assert result.jitter == 0
        assert oracle.relative_error(result.inverse, oracle.damped_inverse(C, DAMPING)) < oracle.tolerance(dtype, 20)
        assert np.array_equal(result.inverse, result.inverse.T)
        assert true <= largest_residual(C, DAMPING)
        assert true <= result.residual * 1.001 + 1e-15 * n

    @pytest.mark.parametrize("n", [257, 600])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_large_matrices(self, cpu, rng, n, dtype):
        C = spd(rng, n, dtype)

        result = newton(cpu, C, start_for(C))

        assert by_steps(result)
        assert oracle.relative_error(result.inverse, oracle.damped_inverse(C, DAMPING)) < oracle.tolerance(dtype, 20)

    def test_two_tiles_on_a_device(self, device, rng):
        C = spd(rng, 150, np.float32)

        result = newton(device, C, start_for(C))

        assert by_steps(result)
        assert oracle.relative_error(result.inverse, oracle.damped_inverse(C, DAMPING)) < 1e-5

    def test_an_unchanged_matrix_keeps_its_inverse(self, backend, rng):
        C = spd(rng, 40, np.float32)
        earlier = backend.damped_inverse(C, DAMPING)

        result = newton(backend, C, earlier.inverse)

        assert by_steps(result)
        assert oracle.relative_error(result.inverse, earlier.inverse) < 1e-5

    def test_reads_only_lower_triangles(self, backend, rng):
        C = spd(rng, 40, np.float64)
        start = start_for(C)
        above = np.triu(np.full_like(C, np.nan), 1)

        result = newton(backend, np.tril(C) + above, np.tril(start) + above)

        assert same(result, newton(backend, C, start))

    def test_a_change_without_a_direction_may_be_larger_in_norm(self, backend, rng):
        n = 64
        C = spd(rng, n, np.float64)
        noise = rng.standard_normal((n, n))
        start = np.linalg.inv(C + DAMPING * np.eye(n) + 0.005 * (noise + noise.T))
        norm = np.linalg.norm(np.eye(n) - (C + DAMPING * np.eye(n)) @ start)

        result = newton(backend, C, start)

        assert norm > 0.5
        assert by_steps(result)

    def test_steps_follow_a_moving_average(self, cpu, rng):
        n, steps = 60, 0
        C = spd(rng, n, np.float32)
        result = cpu.damped_inverse(C, DAMPING)

        for _ in range(30):
            cpu.update_factors(C, rng.standard_normal((2 * n, n)).astype(np.float32), decay=0.98)
            result = newton(cpu, C, result)
            steps += by_steps(result)
            assert oracle.relative_error(result.inverse, oracle.damped_inverse(C, DAMPING)) < 1e-5

        assert steps == 30


class TestWhatIsLeftToCholesky:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("n", [1, 2, 40, 70])
    def test_starts_that_lead_nowhere(self, backend, rng, dtype, n):
        C = spd(rng, n, dtype)
        start = start_for(C)
        nan, inf = start.copy(), start.copy()
        nan[n - 1, 0], inf[n - 1, n - 1] = np.nan, np.inf
        starts = [nan, inf, 0 * start, -start, 100 * start, 0.01 * start, np.full_like(start, np.finfo(dtype).max)]

        result = newton(backend, [C] * len(starts), starts)

        assert not by_steps(result).any()
        assert same(result, backend.damped_inverse([C] * len(starts), DAMPING))

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_bad_matrices_between_good_ones(self, backend, rng, dtype):
        n = 40
        good = spd(rng, n, dtype)
        nan, indefinite = good.copy(), good.copy()
        nan[n - 1, 0], indefinite[5, 5] = np.nan, -1
        factors = [good, nan, good, indefinite, good, -good, good, np.zeros((0, 0), dtype)]
        start = start_for(good)
        starts = [start, start, start, start, start, -start, start, np.zeros((0, 0), dtype)]
        alone = newton(backend, good, start)

        result = newton(backend, factors, starts)

        expected = backend.damped_inverse(factors, DAMPING)
        assert by_steps(result).tolist() == [True, False] * 3 + [True, False]
        assert result.status.tolist() == [0, 3, 0, 2, 0, 2, 0, 0]
        for k in range(0, 7, 2):
            assert np.array_equal(result.inverse[k], alone.inverse)
        for k in (1, 3, 5):
            assert np.isnan(result.inverse[k]).all()
            assert np.isnan([result.jitter[k], result.residual[k], result.log_det[k]]).all()
        assert result.log_det[7] == expected.log_det[7] == 0

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_a_matrix_that_became_indefinite_has_no_inverse_of_steps(self, backend, rng, dtype):
        n = 30
        Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        values = np.linspace(1, 3, n)
        start = ((Q / values) @ Q.T).astype(dtype)
        values[0] = -0.01
        C = ((Q * values) @ Q.T).astype(dtype)

        result = newton(backend, C, start, damping=0.0)

        assert not by_steps(result)
        assert same(result, backend.damped_inverse(C, 0.0))

    def test_the_inverse_of_an_indefinite_matrix_is_none_to_begin_with(self, backend, rng):
        v = rng.standard_normal(30)
        C = np.eye(30) - 1.5 * np.outer(v, v) / (v @ v)
        C[0, 0] -= 3.0  # on the diagonal of C, and of its inverse
        for A in (C, -C @ C, np.linalg.inv(C)):
            result = newton(backend, A, np.linalg.inv(A), damping=0.0)

            assert not by_steps(result)
            assert same(result, backend.damped_inverse(A, 0.0))

    @pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
    def test_a_bad_entry_of_a_damping_array_is_a_status(self, backend, bad):
        C = np.stack([np.eye(2)] * 3)

        result = newton(backend, C, C / 2, damping=np.array([1.0, bad, 1.0]))

        assert result.status.tolist() == [0, Status.INVALID_PARAMETER, 0]
        assert by_steps(result).tolist() == [True, False, True]

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("n", [8, 40])
    def test_never_ok_with_a_large_residual(self, backend, rng, dtype, n):
        Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
        exponents = range(0, 19, 1 if backend.name.startswith("cpu") else 6)
        factors = [((Q * np.logspace(0, -e, n)) @ Q.T).astype(dtype) for e in exponents]
        starts = [((Q * np.logspace(0, e, n)) @ Q.T * 1.001).astype(dtype) for e in exponents]

        result = newton(backend, factors, starts, damping=0.0)

        assert by_steps(result)[0]
        for k, C in enumerate(factors):
            jitter = np.nan_to_num(float(result.jitter[k]))
            residual = np.linalg.norm(
                (oracle.symmetric(C) + jitter * np.eye(n)) @ np.float64(result.inverse[k]) - np.eye(n)
            )
            assert not result.ok[k] or residual < 1e-2
            assert not by_steps(result)[k] or residual <= min(largest_residual(C, 0.0), result.residual[k] * 1.001)

    @pytest.mark.parametrize(
        ("dtype", "size"), [(np.float64, 1e-290), (np.float64, 1e290), (np.float32, 1e-30), (np.float32, 1e30)]
    )
    def test_extreme_scales(self, backend, rng, dtype, size):
        C = (spd(rng, 20, np.float64) * size).astype(dtype)
        start = np.linalg.inv(np.float64(C)).astype(dtype)

        result = newton(backend, C, start, damping=0.0)

        assert result.ok
        assert oracle.residual(C, 0.0, result.inverse) < 1e-3
