"""Damped inverses by Newton-Schulz steps from earlier ones: where they lead, and that nothing else is ever theirs."""

import itertools

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import oracle
from cases import spd

DAMPING = 0.1


def moved(C, change=1e-2):
    """Return a matrix that has changed a little in every direction."""
    return (C.astype(np.float64) * (1 - change) + change * np.eye(len(C))).astype(C.dtype)


def start_for(C, damping=DAMPING):
    """Return the inverse of what C was."""
    return oracle.damped_inverse(moved(C), damping).astype(C.dtype)


def newton(on, factors, start, damping=DAMPING, **options):
    """Call the method."""
    return on.damped_inverse(factors, damping, method="newton", warm_start=start, **options)


def by_steps(result):
    """Return which matrices have an inverse that no Cholesky factorisation gave."""
    return (result.status == Status.OK) & np.isnan(result.log_det)


def same(a, b):
    """Tell whether two results have the same bits."""
    inverses = (x.inverse if isinstance(x.inverse, list) else [x.inverse] for x in (a, b))
    return all(x.tobytes() == y.tobytes() for x, y in zip(*inverses, strict=True)) and all(
        getattr(a, name).tobytes() == getattr(b, name).tobytes() for name in ("status", "jitter", "residual", "log_det")
    )


def largest_residual(C, damping):
    """Return what a status of 0 may have."""
    condition = np.linalg.cond(oracle.symmetric(C) + damping * np.eye(len(C)))
    return min(1e-2, 50 * np.finfo(C.dtype).eps * condition * np.sqrt(len(C)))


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


class TestForms:
    def test_a_stack_and_a_result(self, backend, rng):
        C = np.stack([spd(rng, 12, np.float32) for _ in range(6)]).reshape(2, 3, 12, 12)
        earlier = cb.damped_inverse(np.stack([moved(x) for x in C.reshape(6, 12, 12)]).reshape(C.shape), DAMPING)
        damping = np.linspace(DAMPING, 1.05 * DAMPING, 6).reshape(2, 3)

        result = newton(backend, C, earlier.inverse, damping=damping)

        assert by_steps(result).all()
        for k in np.ndindex(2, 3):
            alone = newton(backend, C[k], earlier.inverse[k], damping=float(damping[k]))
            assert np.array_equal(result.inverse[k], alone.inverse)
            assert result.residual[k] == alone.residual

    def test_an_inverse_result_stands_for_its_inverses(self, rng):
        factors = [spd(rng, n, np.float32) for n in (3, 50)]
        earlier = cb.damped_inverse([moved(C) for C in factors], DAMPING)

        result = newton(cb, factors, earlier)

        assert by_steps(result).all()
        assert same(result, newton(cb, factors, earlier.inverse))

    @pytest.mark.parametrize("n", [20, 200])
    def test_any_memory(self, cpu, rng, n):
        C, start, expected = spd(rng, n, np.float32), None, None
        start = start_for(C)
        expected = newton(cpu, C, start).inverse

        for view in (
            lambda: np.empty((n, n), np.float32)[::-1],
            lambda: np.empty((2 * n, 2 * n), np.float32)[::2, ::2].T,
        ):
            factor, warm, out = view(), view(), view()
            factor[...], warm[...] = C, start
            result = newton(cpu, factor, warm, out=out)
            assert result.inverse is out
            assert np.array_equal(out, expected)

    @pytest.mark.parametrize("n", [5, 70])
    def test_out_may_be_the_warm_start(self, backend, rng, n):
        factors = [spd(rng, n, np.float32) for _ in range(3)]
        starts = [start_for(factors[0]), 100 * start_for(factors[1]), start_for(factors[2])]
        expected = newton(backend, factors, starts)
        if backend.name.startswith("cpu"):
            result = newton(backend, factors, starts, out=starts)

            assert result.inverse is starts
            assert all(np.array_equal(a, b) for a, b in zip(starts, expected.inverse, strict=True))
        stacked = np.stack(starts)
        again = newton(backend, np.stack(factors), stacked, out=stacked)
        assert np.array_equal(np.asarray(again.inverse), np.stack(expected.inverse))

    def test_out_may_not_be_another_part_of_the_warm_start(self, rng):
        C, memory = spd(rng, 4, np.float64), np.zeros((5, 4))
        start = start_for(C)
        both = [start.copy(), start.copy()]

        with pytest.raises(ValueError, match="out is written and must not share memory with warm_start"):
            newton(cb, C, memory[:4], out=memory[1:])
        with pytest.raises(ValueError, match=r"out\[.\] is written and must not share memory with warm_start\[.\]"):
            newton(cb, [C, C], both, out=both[::-1])
        with pytest.raises(ValueError, match="out is written and must not share memory with factors"):
            newton(cb, C, start, out=C)

    def test_keep_leaves_the_earlier_inverse(self, backend, rng):
        good = spd(rng, 10, np.float64)
        out = [np.full((10, 10), 7.0) for _ in range(3)]
        start = start_for(good)

        result = newton(backend, [good, -good, np.full((10, 10), np.nan)], [start] * 3, on_failure="keep", out=out)

        assert result.status.tolist() == [0, 2, 3]
        assert np.array_equal(out[0], newton(backend, good, start).inverse)
        assert all((x == 7).all() for x in out[1:])

    def test_raise_names_the_matrix(self, backend, rng):
        good = spd(rng, 10, np.float64)
        start = start_for(good)
        bad = good.copy()
        bad[4, 4] = -1

        assert newton(backend, [good], [start], on_failure="raise").status.tolist() == [0]
        with pytest.raises(cb.NotPositiveDefiniteError, match=r"factors\[1\] .* minor of order 5") as error:
            newton(backend, [good, bad], [start, start], on_failure="raise")

        assert (error.value.index, error.value.minor) == (1, 5)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_same_bits_for_any_number_of_threads(self, cpu, rng, dtype):
        factors = [spd(rng, n, dtype) for n in (600, 130, 20)]
        starts = [start_for(C) for C in factors]
        results = []

        for threads in (1, 2, 3, 7):
            cb.set_num_threads(threads)
            results.append(newton(cpu, factors, starts))

        assert by_steps(results[0]).all()
        for a, b in itertools.pairwise(results):
            assert all(np.array_equal(x, y) for x, y in zip(a.inverse, b.inverse, strict=True))
            assert np.array_equal(a.residual, b.residual)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            (
                {"method": "newton"},
                ValueError,
                'warm_start must be earlier inverses with method="newton", got NoneType',
            ),
            ({"warm_start": np.eye(3)}, ValueError, 'warm_start must be None with method="cholesky", got ndarray'),
            (
                {"method": "newton", "warm_start": np.eye(2)},
                ValueError,
                r"warm_start must have shape \(3, 3\) like factors, got \(2, 2\)",
            ),
            (
                {"method": "newton", "warm_start": np.eye(3, dtype=np.float32)},
                TypeError,
                "warm_start must be float64 like factors, got float32",
            ),
            ({"method": "newton", "warm_start": [np.eye(3)]}, TypeError, "warm_start must be .*got list"),
            ({"method": "newton", "warm_start": 3.0}, TypeError, "warm_start must be .*got float"),
        ],
    )
    def test_bad_options_are_named(self, options, error, message):
        with pytest.raises(error, match=f"damped_inverse: {message}"):
            cb.damped_inverse(np.eye(3), 0.1, **options)
