"""Damped inverses by Newton-Schulz steps: forms of arguments and results, memory, options, bits."""

import itertools

import numpy as np
import pytest

import curvblas as cb
from newton import DAMPING, by_steps, moved, newton, same, start_for

from cases import spd


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
