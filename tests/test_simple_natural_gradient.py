"""Kaldi's simple preconditioner against its definition, and the averaging of parameters."""

import numpy as np
import pytest

import curvblas as cb

import oracle


@pytest.mark.parametrize(("N", "D"), [(6, 30), (30, 6), (9, 9), (2, 5), (70, 40)])
class TestIsTheDefinition:
    def test_in_float64(self, backend, rng, N, D):
        X = rng.standard_normal((N, D)) * np.linspace(1, 3, D)

        found = backend.simple_natural_gradient(X)

        assert np.abs(found - oracle.simple_natural_gradient(X, 0.1)).max() < 1e-12 * np.abs(X).max()
        assert np.isclose(np.linalg.norm(found), np.linalg.norm(X), rtol=1e-14)

    def test_where_one_row_is_much_longer(self, backend, rng, N, D):
        X = rng.standard_normal((N, D))
        X[1] *= 1e4

        found = backend.simple_natural_gradient(X, alpha=4.0)

        assert np.abs(found - oracle.simple_natural_gradient(X, 4.0)).max() < 1e-9 * np.abs(X).max()


def test_single_rows_and_zeros_stay_as_they_are(backend, rng):
    x = rng.standard_normal((1, 7)).astype(np.float32)

    assert np.allclose(backend.simple_natural_gradient(x), x, rtol=1e-6)
    assert not backend.simple_natural_gradient(np.zeros((12, 7))).any()


@pytest.mark.parametrize(
    ("size", "dtype"),
    [(1e-17, np.float32), (1e17, np.float32), (1e-100, np.float64), (1e-140, np.float64), (1e140, np.float64)],
)
@pytest.mark.parametrize(("N", "D"), [(4, 20), (20, 4), (15, 15)])
def test_the_unit_of_the_rows_does_not_matter(backend, rng, N, D, size, dtype):
    X = rng.standard_normal((N, D))

    found = backend.simple_natural_gradient((size * X).astype(dtype))

    error = np.abs(found / size - oracle.simple_natural_gradient(X, 0.1)).max()
    assert error < (1e-4 if dtype == np.float32 else 1e-12)


def test_a_smoothing_that_float64_does_not_see_is_nan(backend):
    X = np.array([[1.0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]])

    assert np.isnan(backend.simple_natural_gradient(X, alpha=1e-18)).all()


@pytest.mark.parametrize("size", [1e-25, 1e25, np.nan, np.inf])
def test_squares_that_the_dtype_does_not_hold_are_nan(backend, rng, size):
    X = rng.standard_normal((20, 30)).astype(np.float32)
    expected = backend.simple_natural_gradient(X)
    spoiled = (size * np.float64(X)).astype(np.float32)

    found = backend.simple_natural_gradient([X, spoiled, X])

    assert np.isnan(found[1]).all()
    assert np.array_equal(found[0], expected)
    assert np.array_equal(found[2], expected)


class TestAverageParameters:
    def test_is_the_mean_in_the_dtype_of_each(self, rng):
        models = [[rng.standard_normal((3, 2)).astype(np.float32), rng.standard_normal(4)] for _ in range(5)]

        found = cb.average_parameters(models)

        assert [x.dtype for x in found] == [np.float32, np.float64]
        assert np.allclose(found[0], np.mean([model[0] for model in models], axis=0))
        assert np.allclose(found[1], np.mean([model[1] for model in models], axis=0))

    def test_takes_generators_and_large_numbers(self):
        models = ((np.full(2, x, np.float16) for _ in range(1)) for x in (6e4, 5e4, 6.4e4))

        (found,) = cb.average_parameters(models)

        assert found.dtype == np.float16
        assert np.allclose(found, 5.8e4, rtol=1e-2)

    def test_leaves_the_models_alone(self):
        model = [np.ones(3)]
        cb.average_parameters([model])[0][:] = 7

        assert np.array_equal(model[0], np.ones(3))

    def test_models_must_be_alike(self):
        with pytest.raises(ValueError, match="models must have parameters of the same shapes and dtypes, got"):
            cb.average_parameters([[np.ones(3)], [np.ones(2)]])
        with pytest.raises(ValueError, match=r"models must have parameters of the same shapes and dtypes, got \[\]"):
            cb.average_parameters([])
