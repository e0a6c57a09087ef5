"""Metrics of units: the claims of each function beyond the contract, and their edges."""

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status

import oracle
from cases import spd

DTYPES = [np.float32, np.float64]


def moments_of(on, rows, weights, dtype=np.float64):
    """Return quasi-diagonal moments of one batch: means over its rows."""
    shape = weights.shape[-1], rows.shape[-1] + 1
    return on.accumulate_quasi_diagonal(np.zeros(shape, dtype), np.zeros(shape, dtype), rows, weights, decay=0.0)


def dense_moments(rows, weights):
    """Return the metrics of which the quasi-diagonal moments are parts."""
    q, p = weights.shape[1], rows.shape[1] + 1
    return cb.update_unit_moments(np.zeros((q, p, p)), rows, weights, decay=0.0, bias=True)


class TestUpdateUnitMoments:
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("units", [3, 9])  # the CPU takes these one by one, and those together
    def test_a_unit_is_a_factor_with_weights(self, backend, rng, dtype, units):
        rows, weights = rng.standard_normal((40, 6)).astype(dtype), rng.random((40, units)).astype(dtype)
        given = rng.standard_normal((units, 7, 7)).astype(dtype)

        moments = backend.update_unit_moments(given.copy(), rows, weights, decay=0.9, scale=0.5, bias=True)

        alone = [
            backend.update_factors(M, rows, weights=w, decay=0.9, scale=0.5, bias=True)
            for M, w in zip(given.copy(), weights.T.copy(), strict=True)
        ]
        assert oracle.relative_error(moments, np.float64(alone)) < oracle.tolerance(dtype)

    @pytest.mark.parametrize("shape", [(600, 9, 40), (300, 80, 20), (20, 80, 9000)])
    def test_blocks_of_units_and_of_pairs_are_put_together(self, cpu, rng, shape):
        q, p, N = shape
        rows, weights = rng.standard_normal((N, p - 1)).astype(np.float32), rng.random((N, q)).astype(np.float32)
        given = np.stack([spd(rng, p, np.float32)] * q)

        moments = cpu.update_unit_moments(given.copy(), rows, weights, bias=True)

        expected = oracle.update_unit_moments(given, rows, weights, bias=True)
        assert oracle.relative_error(moments, expected) < oracle.tolerance(np.float32)
        assert np.array_equal(moments, moments.swapaxes(1, 2))

    def test_layers_of_different_sizes_take_parameters_of_their_own(self, backend, rng):
        shapes = [(5, 4, 3), (2, 9, 7), (0, 3, 2), (3, 0, 4)]  # q, N, p
        given = [rng.standard_normal((q, p, p)) for q, _, p in shapes]
        rows = [rng.standard_normal((N, p - k % 2)) for k, (_, N, p) in enumerate(shapes)]
        weights = [rng.random((N, q)) for q, N, _ in shapes]
        options = {"decay": [0.0, 0.5, 1.0, 0.9], "scale": [1.0, 2.0, 3.0, 4.0], "bias": [False, True, False, True]}

        updated = backend.update_unit_moments([M.copy() for M in given], rows, weights, **options)

        for k, M in enumerate(given):
            of_layer = {name: values[k] for name, values in options.items()}
            expected = oracle.update_unit_moments(M, rows[k], weights[k], **of_layer)
            assert np.allclose(updated[k], expected, rtol=1e-13, atol=1e-13)

    def test_positions_are_summed_and_cases_averaged(self, backend, rng):
        rows, weights = rng.standard_normal((6, 5, 4)), rng.random((6, 5, 2))

        moments = backend.update_unit_moments(np.zeros((2, 4, 4)), rows, weights, decay=0.0)

        flat = np.einsum("nk,ni,nj->kij", weights.reshape(30, 2), rows.reshape(30, 4), rows.reshape(30, 4)) / 6
        assert np.allclose(moments, flat, rtol=1e-13)

    def test_moments_are_exactly_symmetric(self, backend, rng):
        moments = np.zeros((3, 33, 33), np.float32)

        backend.update_unit_moments(moments, rng.standard_normal((50, 33)).astype(np.float32), rng.random((50, 3)))

        assert np.array_equal(moments, moments.swapaxes(1, 2))

    @pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
    def test_rows_and_weights_may_be_of_other_dtypes(self, backend, rng, kind):
        rows, weights = rng.standard_normal((9, 4)).astype(kind), rng.random((9, 2)).astype(kind)

        moments = backend.update_unit_moments(np.zeros((2, 4, 4)), rows, weights, decay=0.0)

        expected = oracle.update_unit_moments(np.zeros((2, 4, 4)), rows, weights, decay=0.0)
        assert np.allclose(moments, expected, rtol=1e-13)

    def test_nan_in_a_weight_stays_in_its_unit(self, backend, rng):
        rows, weights = rng.standard_normal((9, 4)), rng.random((9, 3))
        weights[2, 1] = np.nan

        moments = backend.update_unit_moments(np.zeros((3, 4, 4)), rows, weights)

        assert np.isnan(moments).all(axis=(1, 2)).tolist() == [False, True, False]
        assert np.isfinite(moments[[0, 2]]).all()

    def test_strided_layers_of_a_stack_are_found(self, backend, rng):
        room = rng.standard_normal((4, 6, 5, 5))
        moments, rows, weights = room[::2, ::3], rng.standard_normal((2, 7, 5)), rng.random((2, 7, 2))
        given = moments.copy()

        backend.update_unit_moments(moments, rows, weights)

        expected = [oracle.update_unit_moments(*of_layer) for of_layer in zip(given, rows, weights, strict=True)]
        assert np.allclose(moments, expected, rtol=1e-13, atol=1e-13)

    @pytest.mark.parametrize(
        ("moments", "rows", "weights", "expected"),
        [
            ((2, 3, 4), (5, 3), (5, 2), r"moments must have shape \(..., q, p, p\), got \(2, 3, 4\)"),
            ((3, 3), (5, 3), (5, 2), r"moments must have shape \(..., q, p, p\), got \(3, 3\)"),
            ((2, 3, 3), (5, 2), (5, 2), r"rows must have shape \(N, 3\) or \(N, T, 3\)"),
            ((2, 3, 3), (5, 3), (5, 3), r"weights must have shape \(N, q\) = \(5, 2\)"),
            ((2, 3, 3), (5, 3), (4, 2), r"weights must have shape \(N, q\) = \(5, 2\)"),
        ],
    )
    def test_shapes_that_do_not_fit_are_refused(self, moments, rows, weights, expected):
        with pytest.raises(ValueError, match=expected):
            cb.update_unit_moments(np.zeros(moments), np.zeros(rows), np.zeros(weights))

    def test_moments_that_share_memory_with_weights_are_refused(self):
        memory = np.zeros((3, 3, 3))

        with pytest.raises(ValueError, match=r"share"):
            cb.update_unit_moments(memory, np.zeros((3, 3)), memory[0])


class TestAccumulateQuasiDiagonal:
    def test_moments_are_the_last_column_and_the_diagonal(self, backend, rng):
        rows, weights = rng.standard_normal((20, 6)), rng.random((20, 4))

        first, second = moments_of(backend, rows, weights)

        M = dense_moments(rows, weights)
        assert np.allclose(first, M[:, :, -1], rtol=1e-13)
        assert np.allclose(second, M.diagonal(axis1=1, axis2=2), rtol=1e-13)

    def test_float32_sums_of_many_equal_rows_are_right(self, cpu):
        rows, weights = np.full((200_000, 1), 0.1, np.float32), np.ones((200_000, 1), np.float32)

        first, _ = moments_of(cpu, rows, weights, np.float32)

        assert abs(first[0, 0] / np.float32(0.1) - 1) < 2e-5

    def test_no_cases_only_decay(self, backend):
        given = np.ones((2, 3)), np.full((2, 3), 2.0)

        first, second = backend.accumulate_quasi_diagonal(*given, np.zeros((0, 2)), np.zeros((0, 2)), decay=0.5)

        assert np.array_equal(first, np.full((2, 3), 0.5))
        assert np.array_equal(second, np.ones((2, 3)))

    def test_positions_are_summed_and_cases_averaged(self, backend, rng):
        rows, weights = rng.standard_normal((4, 5, 3)), rng.random((4, 5, 2))

        first, _ = backend.accumulate_quasi_diagonal(np.zeros((2, 4)), np.zeros((2, 4)), rows, weights, decay=0.0)

        assert np.allclose(first[:, :3], np.einsum("ntk,nti->ki", weights, rows) / 4, rtol=1e-13)

    def test_nan_in_a_weight_stays_in_its_unit(self, backend, rng):
        weights = rng.random((9, 3))
        weights[2, 1] = np.nan

        first, second = moments_of(backend, rng.standard_normal((9, 4)), weights)

        assert np.isnan(first).all(axis=1).tolist() == [False, True, False]
        assert np.isfinite(second[[0, 2]]).all()

    def test_layers_without_a_bias_are_refused(self):
        with pytest.raises(ValueError, match=r"first_moments must have shape \(..., q, p\) with p >= 1, got \(2, 0\)"):
            cb.accumulate_quasi_diagonal(np.zeros((2, 0)), np.zeros((2, 0)), np.zeros((5, 0)), np.zeros((5, 2)))

    def test_the_same_array_for_both_moments_is_refused(self):
        M = np.zeros((2, 3))

        with pytest.raises(ValueError, match="share"):
            cb.accumulate_quasi_diagonal(M, M, np.zeros((5, 2)), np.zeros((5, 2)))


class TestSolveQuasiDiagonal:
    def solve_on(self, on, rng, N, n, q, dtype=np.float64, **options):
        rows, weights = rng.standard_normal((N, n)), 0.1 + rng.random((N, q))
        first, second = moments_of(cb, rows, weights)
        grads = rng.standard_normal((q, n + 1))
        given = [x.astype(dtype) for x in (first, second, grads)]
        return given, on.solve_quasi_diagonal(*given, **options)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_one_input_is_inverted_exactly(self, backend, rng, dtype):
        rows, weights = rng.standard_normal((30, 1)), 0.1 + rng.random((30, 5))
        grads = rng.standard_normal((5, 2))
        first, second = (M.astype(dtype) for M in moments_of(cb, rows, weights))

        result = backend.solve_quasi_diagonal(first, second, grads.astype(dtype))

        exact = np.linalg.solve(dense_moments(rows, weights), grads[..., None])[..., 0]
        assert oracle.relative_error(result.solution, exact) < oracle.tolerance(dtype, condition=10)

    def test_uncorrelated_inputs_are_inverted_exactly(self, backend, rng):
        signs = np.array([[(-1.0) ** (n >> i & 1) for i in range(3)] for n in range(8)])  # orthogonal, mean 0
        rows = signs * [1.0, 2.0, 0.5] + [3.0, -1.0, 2.0]
        weights = np.full((8, 2), [0.3, 2.0])
        grads = rng.standard_normal((2, 4))

        result = backend.solve_quasi_diagonal(*moments_of(cb, rows, weights), grads)

        exact = np.linalg.solve(dense_moments(rows, weights), grads[..., None])[..., 0]
        assert oracle.relative_error(result.solution, exact) < 1e-13

    def test_inverse_is_symmetric_and_positive_definite(self, rng):
        rows, weights = rng.standard_normal((30, 4)), rng.random((30, 1))
        first, second = moments_of(cb, rows, weights)

        columns = [cb.solve_quasi_diagonal(first, second, e[None]).solution[0] for e in np.eye(5)]

        P = np.stack(columns)
        assert np.allclose(P, P.T, rtol=1e-12)
        assert np.linalg.eigvalsh(P).min() > 0

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("p", [1, 2, 5, 8, 9, 12, 17, 40])
    def test_rows_of_any_length_and_stride_have_the_same_bits(self, backend, rng, p, dtype):
        first, grads = rng.standard_normal((2, 3, p)).astype(dtype)
        second = (2 + first**2).astype(dtype)
        first[:, -1] = 1
        strided = [np.repeat(x, 2, axis=1)[:, ::2] for x in (first, second, grads)]

        plain = backend.solve_quasi_diagonal(first, second, grads)
        out = np.empty((3, 2 * p), dtype)[:, ::2]
        backend.solve_quasi_diagonal(*strided, out=out)

        expected = oracle.solve_quasi_diagonal(*map(np.float64, (first, second, grads)))
        assert oracle.relative_error(plain.solution, expected) < 8 * np.finfo(dtype).eps
        assert np.array_equal(out, plain.solution)

    def test_a_dead_unit_gets_a_zero_update(self, backend, rng):
        rows, weights = rng.standard_normal((12, 5)), rng.random((12, 3))
        weights[:, 1] = 0

        result = backend.solve_quasi_diagonal(*moments_of(cb, rows, weights), rng.standard_normal((3, 6)))

        assert result.status.tolist() == [Status.OK] * 3
        assert not result.solution[1].any()
        assert result.solution[[0, 2]].all()

    def test_an_input_that_was_always_zero_is_not_updated(self, backend, rng):
        rows, weights = rng.standard_normal((12, 5)), rng.random((12, 3))
        rows[:, 2] = 0

        result = backend.solve_quasi_diagonal(*moments_of(cb, rows, weights), rng.standard_normal((3, 6)))

        assert result.ok.all()
        assert not result.solution[:, 2].any()

    def test_the_floor_bounds_what_a_constant_input_gets(self, backend, rng):
        rows, weights = rng.standard_normal((12, 2)), rng.random((12, 1))
        rows[:, 0] = 1 + 1e-9 * rng.standard_normal(12)
        first, second = moments_of(cb, rows, weights)
        grads = np.array([[1.0, 0.0, 0.0]])

        result = backend.solve_quasi_diagonal(first, second, grads, floor=1e-3)

        assert result.solution[0, 0] == pytest.approx(1e3 / second[0, 0], rel=1e-12)

    def test_damping_is_added_to_every_diagonal_element(self, backend, rng):
        (first, second, grads), result = self.solve_on(backend, rng, 20, 4, 3, damping=0.7)

        shifted = first + 0.7 * np.eye(5)[-1], second + 0.7
        assert oracle.relative_error(result.solution, oracle.solve_quasi_diagonal(*shifted, grads)) < 1e-13

    @pytest.mark.parametrize("where", ["first", "second", "grads", "bias of grads", "bias of first"])
    @pytest.mark.parametrize("what", [np.nan, np.inf])
    def test_what_is_not_finite_stays_in_its_unit(self, backend, rng, where, what):
        given, clean = self.solve_on(backend, rng, 20, 4, 3)
        name = where.rpartition(" ")[2]
        given[["first", "second", "grads"].index(name)][1, -1 if "bias" in where else 2] = what

        result = backend.solve_quasi_diagonal(*given)

        assert result.status.tolist() == [Status.OK, Status.NOT_FINITE, Status.OK]
        assert np.isnan(result.solution[1]).all()
        assert np.array_equal(result.solution[[0, 2]], clean.solution[[0, 2]])

    @pytest.mark.parametrize(("row", "column", "value"), [(0, -1, -1.0), (1, 1, -1.0), (0, 1, 50.0)])
    def test_moments_of_no_metric_are_reported(self, backend, rng, row, column, value):
        given, _ = self.solve_on(backend, rng, 20, 4, 3)
        given[row][2, column] = value

        result = backend.solve_quasi_diagonal(*given)

        assert result.status.tolist() == [Status.OK, Status.OK, Status.NOT_POSITIVE_DEFINITE]
        assert np.isnan(result.solution[2]).all()

    def test_a_bad_damping_fails_its_layer_alone(self, backend, rng):
        (first, second, grads), clean = self.solve_on(backend, rng, 20, 4, 3)
        stacked = [np.stack([x] * 3) for x in (first, second, grads)]

        result = backend.solve_quasi_diagonal(*stacked, np.array([0.0, -1.0, np.nan]))

        assert (result.status == [[Status.OK], [Status.INVALID_PARAMETER], [Status.INVALID_PARAMETER]]).all()
        assert np.array_equal(result.solution[0], clean.solution)

    def test_a_solution_that_overflows_is_not_finite(self, backend):
        tiny = np.full((1, 2), 1e-30, np.float32)

        result = backend.solve_quasi_diagonal(tiny, tiny, np.full((1, 2), 1e30, np.float32), floor=0.0)

        assert result.status.tolist() == [Status.NOT_FINITE]
        assert np.isnan(result.solution).all()

    def test_units_of_a_list_have_their_statuses_in_order(self, backend, rng):
        layers = [self.solve_on(cb, rng, 20, n, q)[0] for n, q in ((3, 2), (5, 0), (1, 4))]
        layers[2][2][1, 0] = np.nan

        result = backend.solve_quasi_diagonal(*map(list, zip(*layers, strict=True)))

        assert result.status.tolist() == [0, 0, 0, Status.NOT_FINITE, 0, 0]

    @pytest.mark.parametrize("floor", [-0.1, 1.0, np.nan, "much"])
    def test_floors_out_of_range_are_refused(self, floor):
        with pytest.raises((ValueError, TypeError), match=r"floor must be a number in \[0, 1\)"):
            cb.solve_quasi_diagonal(np.ones((1, 2)), np.ones((1, 2)), np.ones((1, 2)), floor=floor)

    def test_gradients_of_another_shape_are_refused(self):
        with pytest.raises(ValueError, match=r"grads must have shape"):
            cb.solve_quasi_diagonal(np.ones((1, 2)), np.ones((1, 2)), np.ones((2, 1)))
