"""The minimisers: known minima, units, dtypes and libraries, what ends a run, evaluations beside those of SciPy."""

import dataclasses
import re
from importlib.util import find_spec

import numpy as np
import pytest
import scipy.optimize

import curvblas as cb

MINIMISERS = [cb.minimize_lbfgs, cb.minimize_lsr1]
SCALES = [(by, unit) for by in (1e12, 1.0, 1e-12) for unit in (1e6, 1.0, 1e-6)]


@pytest.fixture(params=MINIMISERS, ids=["lbfgs", "lsr1"])
def minimize(request):
    return request.param


def rosenbrock(x):
    return scipy.optimize.rosen(x), scipy.optimize.rosen_der(x)


def start(n):
    return np.tile([-1.2, 1.0], n // 2)


def quadratic(rng, n, condition=10.0):
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    H, b = basis * np.geomspace(1, condition, n) @ basis.T, rng.standard_normal(n)
    return lambda x: (x @ H @ x / 2 - b @ x, H @ x - b), np.linalg.solve(H, b)


def double_well(x):
    """A chain: a saddle at 0, minima at all -1 and all 1, local ones where signs change."""
    rise = np.diff(x)
    gradient = x**3 - x
    gradient[1:] += rise
    gradient[:-1] -= rise
    return np.sum(x**4 / 4 - x**2 / 2) + rise @ rise / 2, gradient


def logistic(ridge):
    """Logistic regression of the breast-cancer data, standardised, with an intercept."""
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_breast_cancer(return_X_y=True)
    Z = np.where(y == 1, 1, -1)[:, None] * np.c_[(X - X.mean(0)) / X.std(0), np.ones(len(X))]

    def fun(w):
        margins = Z @ w
        return np.logaddexp(0, -margins).mean() + ridge * w @ w / 2, ridge * w - Z.T @ (
            scipy.special.expit(-margins) / len(Z)
        )

    return fun, np.zeros(Z.shape[1])


class TestMinima:
    @pytest.mark.parametrize(("n", "most"), [(2, 60), (10, 130)])
    def test_of_rosenbrock(self, minimize, n, most):
        found = minimize(rosenbrock, start(n), gtol=1e-12)

        assert found.success
        assert found.fun < 1e-10
        assert np.allclose(found.x, 1, atol=1e-8)
        assert found.nfev <= most

    @pytest.mark.parametrize("n", [1, 2, 5, 12])
    def test_of_quadratics_within_a_few_times_n_evaluations(self, minimize, rng, n):
        fun, minimum = quadratic(rng, n)

        found = minimize(fun, rng.standard_normal(n), memory=n, gtol=1e-9)

        assert found.success
        assert np.allclose(found.x, minimum, atol=1e-8)
        assert found.nfev <= 3 * n + 8

    def test_lsr1_ends_on_a_quadratic_after_n_pairs(self, rng):
        """n independent pairs make B the Hessian: the step after them is the last, if the ball lets it."""
        fun, minimum = quadratic(rng, 6)

        found = cb.minimize_lsr1(fun, minimum + 1e-3 * rng.standard_normal(6), memory=6, gtol=1e-10)

        assert found.success
        assert found.nfev <= 12

    def test_of_many_variables(self, rng):
        found = cb.minimize_lbfgs(rosenbrock, start(1000), gtol=1e-10)

        assert found.success
        assert found.fun < 1e-10

    def test_lsr1_leaves_a_saddle(self, rng):
        """The gradient at the first point is 1e-6 of those on the way down."""
        found = cb.minimize_lsr1(double_well, 1e-6 * rng.standard_normal(30), atol=1e-6, gtol=0.0)

        assert found.success
        assert found.fun < -5
        assert np.abs(found.x).min() > 0.2

    def test_of_a_function_with_walls(self, minimize, rng):
        """-log x + x - y of each variable: not a number where a step goes too far, and first steps do."""

        def fun(x):
            with np.errstate(invalid="ignore"):
                return np.sum(1e3 * x - np.log(x)), 1e3 - 1 / x

        found = minimize(fun, np.full(7, 0.5) + 0.1 * rng.random(7), gtol=1e-10)

        assert found.success
        assert np.allclose(found.x, 1e-3, rtol=1e-6)


class TestUnits:
    @pytest.mark.parametrize(("by", "unit"), SCALES)
    def test_do_not_matter(self, minimize, by, unit):
        def fun(x):
            value, gradient = rosenbrock(x / unit)
            return by * value, by / unit * gradient

        found = minimize(fun, unit * start(2), gtol=1e-12)

        assert found.success
        assert np.allclose(found.x / unit, 1, atol=1e-8)
        assert found.nfev <= 100

    def test_a_constant_that_hides_the_values_does_no_harm(self, minimize, rng):
        """With 1e9 added, the values have three decimals; slopes go on."""
        fun, minimum = quadratic(rng, 5)

        found = minimize(lambda x: (1e9 + fun(x)[0], fun(x)[1]), 1e-2 + minimum, gtol=1e-6)

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

        found = minimize(fun, rng.standard_normal(20).astype(np.float32), gtol=1e-6)

        assert found.success
        assert seen == {"float32"}
        assert (found.x.dtype, found.jac.dtype, type(found.fun)) == (np.float32, np.float32, float)
        assert np.abs(found.x).max() < 1e-4

    def test_float32_ends_at_rounding(self, minimize):
        """gtol = 0 asks for more digits than there are: success, and not a thousand iterations."""
        fun, x0 = logistic(1e-2)
        exact = minimize(fun, x0, gtol=1e-10)

        found = minimize(
            lambda w: (lambda f, g: (np.float32(f), g.astype(np.float32)))(*fun(w)), x0.astype("f"), gtol=0
        )

        assert (found.success, found.status) == (True, 1)
        assert found.nfev < 150
        assert found.fun == pytest.approx(exact.fun, rel=1e-6)

    def test_float64_ends_at_rounding(self, minimize):
        fun, x0 = logistic(1e-2)

        found = minimize(fun, x0, gtol=0)

        assert (found.success, found.status) == (True, 1)
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

        found = minimize(fun, x0, gtol=1e-5)

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


class TestEnds:
    def test_has_the_fields_of_scipy(self, minimize):
        found = minimize(rosenbrock, start(2))
        theirs = scipy.optimize.minimize(rosenbrock, start(2), jac=True, method="L-BFGS-B")

        assert {field.name for field in dataclasses.fields(found)} == set(theirs) - {"hess_inv"}
        assert (found.status, found.message) == (0, "the gradient is as small as was asked for")
        assert found.fun == rosenbrock(found.x)[0]
        assert np.array_equal(found.jac, rosenbrock(found.x)[1])
        assert found.nit < found.nfev == found.njev

    def test_counts_what_was_called(self, minimize):
        calls = []

        found = minimize(lambda x: calls.append(0) or rosenbrock(x), start(2))

        assert found.nfev == len(calls)

    def test_at_the_limit(self, minimize):
        found = minimize(rosenbrock, start(2), max_iterations=4)

        assert (found.nit, found.status, found.success) == (4, 2, False)
        assert found.fun < rosenbrock(start(2))[0]

    def test_tolerances_are_relative_and_absolute(self, minimize):
        relative, absolute = minimize(rosenbrock, start(2), gtol=1e-3), minimize(rosenbrock, start(2), atol=1.0, gtol=0)

        assert np.linalg.norm(relative.jac) <= 1e-3 * np.linalg.norm(rosenbrock(start(2))[1])
        assert np.linalg.norm(absolute.jac) <= 1
        assert minimize(rosenbrock, np.ones(2)).nit == 0

    @pytest.mark.parametrize("bad", ["value", "gradient"])
    @pytest.mark.parametrize("what", [np.nan, np.inf])
    def test_not_finite_at_the_first_point_is_a_status(self, minimize, bad, what):
        found = minimize(lambda x: (what, x) if bad == "value" else (0.0, what * np.ones(3)), np.ones(3))

        assert (found.status, found.success, found.nit, found.nfev) == (4, False, 0, 1)
        assert np.array_equal(found.x, np.ones(3))

    def test_a_gradient_with_the_wrong_sign_is_a_failure(self, minimize):
        found = minimize(lambda x: (x @ x, -2 * x), np.ones(3))

        assert (found.status, found.success) == (3, False)
        assert found.message == "no step decreases the value"
        assert np.array_equal(found.x, np.ones(3))

    def test_a_gradient_that_goes_wrong_later_is_a_failure(self, minimize):
        """The steepest descent is tried once before that, and nothing goes up."""
        calls = []

        def fun(x):
            calls.append(rosenbrock(x)[0])
            return calls[-1], rosenbrock(x)[1] * (-1 if len(calls) > 20 else 1)

        found = minimize(fun, start(10))

        assert (found.status, found.success) == (3, False)
        assert found.fun == min(calls)
        assert len(calls) < 150

    def test_a_gradient_of_another_kind_is_named(self, minimize):
        with pytest.raises(ValueError, match=r"fun returns must be float64 of shape \(3,\) as x0 is, got float32 of"):
            minimize(lambda x: (1.0, np.ones(3, np.float32)), np.ones(3))
        with pytest.raises(ValueError, match=r"as x0 is, got float64 of shape \(1, 3\)"):
            minimize(lambda x: (1.0, np.ones((1, 3))), np.ones(3))

    @pytest.mark.parametrize("x0", [np.ones((2, 2)), np.ones(3, int), [1.0, 2.0], np.ones(0)])
    def test_bad_first_points_are_named(self, minimize, x0):
        with pytest.raises(ValueError, match=r"x0 must be a float32 or float64 array of shape \(n,\), got "):
            minimize(rosenbrock, x0)

    @pytest.mark.parametrize(
        "options", [{"gtol": -1.0}, {"gtol": np.nan}, {"atol": np.inf}, {"max_iterations": 0}, {"memory": 0}]
    )
    def test_bad_options_are_named(self, minimize, options):
        with pytest.raises(ValueError, match=f"{minimize.__name__}: {next(iter(options))} must be "):
            minimize(rosenbrock, start(2), **options)


class TestCallbacks:
    def test_see_every_iteration_but_the_last(self, minimize):
        seen = []

        found = minimize(rosenbrock, start(2), callback=lambda result: seen.append(result))

        assert [result.nit for result in seen] == list(range(1, found.nit))
        assert {(result.status, result.success) for result in seen} == {(-1, False)}
        assert all(result.fun == rosenbrock(result.x)[0] for result in seen)

    def test_stop_a_run(self, minimize):
        found = minimize(rosenbrock, start(2), callback=lambda result: result.nit == 5)

        assert (found.nit, found.status, found.success) == (5, 5, False)

    def test_what_they_raise_passes_through_and_the_next_run_is_the_same(self, minimize):
        x0, expected = start(4), minimize(rosenbrock, start(4))
        seen = []

        def callback(result):
            seen.append((result.x, result.x.copy()))
            if result.nit == 7:
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            minimize(rosenbrock, x0, callback=callback)

        assert np.array_equal(x0, start(4))
        assert all(np.array_equal(x, copy) for x, copy in seen)
        assert np.array_equal(minimize(rosenbrock, x0).x, expected.x)

    @pytest.mark.parametrize("call", [1, 2, 9])
    def test_what_the_function_raises_passes_through(self, minimize, call):
        calls = []

        def fun(x):
            calls.append(0)
            if len(calls) == call:
                raise KeyError("mine")
            return rosenbrock(x)

        with pytest.raises(KeyError, match="mine"):
            minimize(fun, start(4))


class TestProgress:
    def test_is_shown(self, minimize, capsys):
        pytest.importorskip("rich")

        found = minimize(rosenbrock, start(2), progress=True)

        shown = re.sub(r"\s+", " ", capsys.readouterr().out)
        assert minimize.__name__ in shown
        assert f"{found.nit}/" in shown
        assert f"value {found.fun:.6e}" in shown

    def test_without_rich_names_the_extra(self, minimize, monkeypatch):
        monkeypatch.setattr("curvblas._progress.find_spec", lambda name: None if name == "rich" else find_spec(name))

        with pytest.raises(ModuleNotFoundError, match=rf"{minimize.__name__}: .* pip install 'curvblas\[demo\]'"):
            minimize(rosenbrock, start(2), progress=True)


@pytest.mark.parametrize("ridge", [1e-2, 1e-3, 1e-4])
def test_lbfgs_needs_no_more_evaluations_than_scipy(ridge):
    """To the gradient that SciPy's L-BFGS-B ends with, with as many pairs."""
    fun, x0 = logistic(ridge)
    options = {"gtol": 1e-6, "ftol": 0, "maxcor": 10}
    theirs = scipy.optimize.minimize(fun, x0, jac=True, method="L-BFGS-B", options=options)

    found = cb.minimize_lbfgs(fun, x0, memory=10, gtol=0, atol=np.linalg.norm(theirs.jac))

    assert theirs.success
    assert found.status == 0
    assert found.nfev <= 1.1 * theirs.nfev
