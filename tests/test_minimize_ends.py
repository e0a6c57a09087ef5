"""The minimisers: what ends a run, its result, callbacks, exceptions, the display."""

import dataclasses
import importlib
import re
from importlib.util import find_spec

import numpy as np
import pytest
import scipy.optimize

import curvblas as cb

from minimizing import rosenbrock, start


@pytest.fixture(params=[cb.minimize_lbfgs, cb.minimize_lsr1], ids=["lbfgs", "lsr1"])
def minimize(request):
    return request.param


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
        relative, absolute = minimize(rosenbrock, start(2), rtol=1e-3), minimize(rosenbrock, start(2), atol=1.0, rtol=0)

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
        "options", [{"rtol": -1.0}, {"rtol": np.nan}, {"atol": np.inf}, {"max_iterations": 0}, {"memory": 0}]
    )
    def test_bad_options_are_named(self, minimize, options):
        with pytest.raises(ValueError, match=f"{minimize.__name__}: {next(iter(options))} must be "):
            minimize(rosenbrock, start(2), **options)


class TestRestarts:
    def test_lbfgs_forgets_pairs_that_lead_uphill(self, monkeypatch):
        class Misled(cb.LBFGS):
            def direction(self, grad, **options):
                return +grad if self.kept == 3 else super().direction(grad, **options)

        monkeypatch.setattr(importlib.import_module("curvblas.minimize_lbfgs"), "LBFGS", Misled)
        found = cb.minimize_lbfgs(rosenbrock, start(2), max_iterations=100)

        assert found.nit > 20
        assert found.fun < 1

    def test_lsr1_forgets_pairs_that_make_no_model(self, monkeypatch):
        class Lost(cb.LSR1):
            def step(self, grad, radius, **options):
                found = super().step(grad, radius, **options)
                return found if self.kept < 3 else dataclasses.replace(found, status=np.int8(cb.Status.INACCURATE))

        monkeypatch.setattr(importlib.import_module("curvblas.minimize_lsr1"), "LSR1", Lost)
        found = cb.minimize_lsr1(rosenbrock, start(4))

        assert found.success
        assert found.fun < 1e-3


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


class TestFunctions:
    def test_may_write_to_what_they_are_given(self, minimize):
        def fun(x):
            value, gradient = float(x @ x / 2), x.copy()
            x[:] = 0
            return value, gradient

        found = minimize(fun, np.ones(3))

        assert found.success
        assert np.isclose(found.fun, found.x @ found.x / 2, rtol=1e-12)

    def test_may_be_differentiated_by_torch(self, minimize):
        torch = pytest.importorskip("torch")

        def fun(x):
            x.requires_grad_()
            value = ((x - 1) ** 4).sum()
            return value, torch.autograd.grad(value, x)[0]

        assert minimize(fun, torch.zeros(3, dtype=torch.float64)).success

    def test_may_run_out_of_data(self, minimize):
        batches = iter([1.0, 2.0])

        with pytest.raises(StopIteration):
            minimize(lambda x: (next(batches) * x @ x, 2 * x), np.ones(2))
