"""The minimisers: known minima, units, dtypes and libraries, evaluations beside those of SciPy."""

import numpy as np
import pytest
import scipy.optimize

import curvblas as cb

from minimizing import double_well, logistic, quadratic, rosenbrock, start

SCALES = [(by, unit) for by in (1e12, 1.0, 1e-12) for unit in (1e6, 1.0, 1e-6)]


@pytest.fixture(params=[cb.minimize_lbfgs, cb.minimize_lsr1], ids=["lbfgs", "lsr1"])
def minimize(request):
    return request.param


class TestMinima:
    @pytest.mark.parametrize(("n", "most"), [(2, 60), (10, 160)])
    def test_of_rosenbrock(self, minimize, n, most):
        found = minimize(rosenbrock, start(n), rtol=1e-12)

        assert found.success
        assert found.fun < 1e-10
        assert np.allclose(found.x, 1, atol=1e-8)
        assert found.nfev <= most

    @pytest.mark.parametrize("n", [1, 2, 5, 12])
    def test_of_quadratics_within_a_few_times_n_evaluations(self, minimize, rng, n):
        fun, minimum = quadratic(rng, n)

        found = minimize(fun, rng.standard_normal(n), memory=n, rtol=1e-9)

        assert found.success
        assert np.allclose(found.x, minimum, atol=1e-8)
        assert found.nfev <= 3 * n + 8

    def test_lsr1_ends_on_a_quadratic_after_n_pairs(self, rng):
        """n independent pairs make B the Hessian: the step after them is the last, if the ball lets it."""
        fun, minimum = quadratic(rng, 6)

        found = cb.minimize_lsr1(fun, minimum + 1e-3 * rng.standard_normal(6), memory=6, rtol=1e-10)

        assert found.success
        assert found.nfev <= 12

    def test_of_many_variables(self, rng):
        found = cb.minimize_lbfgs(rosenbrock, start(1000), rtol=1e-10)

        assert found.success
        assert found.fun < 1e-10

    def test_lsr1_leaves_a_saddle(self, rng):
        """The gradient at the first point is 1e-6 of those on the way down."""
        found = cb.minimize_lsr1(double_well, 1e-6 * rng.standard_normal(30), atol=1e-6, rtol=0.0)

        assert found.success
        assert found.fun < -5
        assert np.abs(found.x).min() > 0.2

    def test_of_a_function_with_walls(self, minimize, rng):
        """-log x + x - y of each variable: not a number where a step goes too far, and first steps do."""

        def fun(x):
            with np.errstate(invalid="ignore"):
                return np.sum(1e3 * x - np.log(x)), 1e3 - 1 / x

        seen = []
        found = minimize(
            lambda x: seen.append(x.tobytes()) or fun(x), np.full(7, 0.5) + 0.1 * rng.random(7), rtol=1e-10
        )

        assert found.success
        assert len(set(seen)) == len(seen)
        assert np.allclose(found.x, 1e-3, rtol=1e-6)


class TestUnits:
    @pytest.mark.parametrize(("by", "unit"), SCALES)
    def test_do_not_matter(self, minimize, by, unit):
        def fun(x):
            value, gradient = rosenbrock(x / unit)
            return by * value, by / unit * gradient

        found = minimize(fun, unit * start(2), rtol=1e-12)

        assert found.success
        assert np.allclose(found.x / unit, 1, atol=1e-8)
        assert found.nfev <= 100

    def test_a_constant_that_hides_the_values_does_no_harm(self, minimize, rng):
        """With 1e9 added, the values have three decimals; slopes go on."""
        fun, minimum = quadratic(rng, 5)

        found = minimize(lambda x: (1e9 + fun(x)[0], fun(x)[1]), 1e-2 + minimum, rtol=1e-6)

        assert found.success
        assert np.allclose(found.x, minimum, atol=1e-4)
        assert found.nfev <= 60


class TestKinds:
    def test_float32_stays_float32(self, minimize, rng):
        H = np.geomspace(1, 30, 20).astype(np.float32)
        seen = set()

        def fun(x):
            seen.add(x.dtype.name)
            return x @ (H * x) / 2, H * x

        found = minimize(fun, rng.standard_normal(20).astype(np.float32), rtol=1e-6)

        assert found.success
        assert seen == {"float32"}
        assert (found.x.dtype, found.jac.dtype, type(found.fun)) == (np.float32, np.float32, float)
        assert np.abs(found.x).max() < 1e-4

    def test_float32_ends_at_rounding(self, minimize):
        """rtol = 0 asks for more digits than there are: success, and not a thousand iterations."""
        fun, x0 = logistic(1e-2)
        exact = minimize(fun, x0, rtol=1e-10)

        found = minimize(
            lambda w: (lambda f, g: (np.float32(f), g.astype(np.float32)))(*fun(w)), x0.astype("f"), rtol=0
        )

        assert (found.success, found.status) == (True, 1)
        assert found.nfev < 150
        assert found.fun == pytest.approx(exact.fun, rel=1e-6)

    @pytest.mark.parametrize(("minimise", "n"), [(cb.minimize_lbfgs, 100), (cb.minimize_lsr1, 10)])
    def test_float32_ends_where_x_is_rounded(self, minimise, n):
        """The value at the minimum is 0: that of the points around it says nothing about rounding."""

        def fun(x):
            value, gradient = rosenbrock(x)
            return np.float32(value), gradient.astype(np.float32)

        found = minimise(fun, start(n).astype(np.float32), rtol=0)

        assert found.success
        assert found.nfev < 2000
        assert np.allclose(found.x, 1, atol=1e-3)

    def test_float64_ends_at_rounding(self, minimize):
        fun, x0 = logistic(1e-2)
        norms = []

        found = minimize(fun, x0, rtol=0, callback=lambda result: norms.append(np.linalg.norm(result.jac)))

        assert (found.success, found.status) == (True, 1)
        assert np.linalg.norm(found.jac) <= min(norms[-10:])
        assert np.linalg.norm(found.jac) < 1e-8
        assert found.nfev < 200

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_of_torch(self, minimize, dtype):
        torch = pytest.importorskip("torch")
        x0 = torch.full((6,), 3.0, dtype=getattr(torch, dtype), requires_grad=True)

        def fun(x):
            x = x.detach().requires_grad_()
            value = ((x - 1) ** 4 + (x - 1) ** 2).sum()
            value.backward()
            return value, x.grad

        found = minimize(fun, x0, rtol=1e-5)

        assert found.success
        assert isinstance(found.x, torch.Tensor)
        assert not found.x.requires_grad
        assert str(found.x.dtype) == f"torch.{dtype}"
        assert torch.allclose(found.x, torch.ones_like(found.x), atol=1e-3)

    def test_a_gradient_that_is_one_array_again_and_again(self, minimize):
        kept = np.empty(10)

        def fun(x):
            value, kept[:] = rosenbrock(x)
            return value, kept

        found, expected = minimize(fun, start(10)), minimize(rosenbrock, start(10))

        assert found.nfev == expected.nfev
        assert np.array_equal(found.x, expected.x)

    def test_the_first_point_is_not_modified_nor_shared(self, minimize):
        x0 = start(4)
        x0.flags.writeable = False

        found = minimize(rosenbrock, x0, max_iterations=3)
        at_once = minimize(lambda x: (0.0, 0 * x), x0)

        assert np.array_equal(x0, start(4))
        assert not np.shares_memory(at_once.x, x0)
        assert found.x is not x0


@pytest.mark.parametrize("ridge", [1e-2, 1e-3, 1e-4])
def test_lbfgs_needs_no_more_evaluations_than_scipy(ridge):
    """To the gradient that SciPy's L-BFGS-B ends with, with as many pairs."""
    fun, x0 = logistic(ridge)
    options = {"gtol": 1e-6, "ftol": 0, "maxcor": 10}
    theirs = scipy.optimize.minimize(fun, x0, jac=True, method="L-BFGS-B", options=options)

    found = cb.minimize_lbfgs(fun, x0, memory=10, rtol=0, atol=np.linalg.norm(theirs.jac))

    assert theirs.success
    assert found.status == 0
    assert found.nfev <= 1.1 * theirs.nfev
