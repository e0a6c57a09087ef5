"""Newton, Gauss-Newton, conjugate gradients, Rprop: closed forms, minima, singular and bad curvature, arguments."""

import itertools
import pickle

import numpy as np
import pytest
import scipy.optimize

from curvblas import Status
from curvblas.methods import exact, newton

from identities.newton import IDENTITIES
from oracle.methods_newton import exponential_fit, newton_iterates, quadratic, rprop

VARIANTS = ["toussaint", "rprop-", "irprop-", "irprop+"]


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=[f.__name__ for f, _ in IDENTITIES])
def test_identity_holds(identity, bound):
    assert identity() <= bound


def rosenbrock(x):
    return scipy.optimize.rosen(x), scipy.optimize.rosen_der(x)


def saddle(x):
    """Minima at (0, -1) and (0, 1), a saddle at 0."""
    return x[0] ** 2 + (x[1] ** 2 - 1) ** 2, np.array([2 * x[0], 4 * x[1] * (x[1] ** 2 - 1)])


def saddle_hessian(x):
    return np.diag([2.0, 12 * x[1] ** 2 - 4])


class TestNewton:
    @pytest.mark.parametrize("options", [{}, {"damping": 1.0, "increase": 4.0, "decrease": 0.5}])
    def test_finds_the_minimum_of_rosenbrock(self, options):
        found = newton.minimize_newton(
            rosenbrock, scipy.optimize.rosen_hess, np.array([-1.2, 1.0]), rtol=1e-12, **options
        )

        assert found.success
        assert np.allclose(found.x, 1, rtol=1e-8)

    @pytest.mark.parametrize(("increase", "decrease"), [(1.0, 1.0), (3.0, 0.5)])
    def test_takes_the_steps_of_the_lecture(self, increase, decrease):
        start, points = np.array([-1.2, 1.0, 0.5, 2.0]), []

        newton.minimize_newton(
            rosenbrock,
            scipy.optimize.rosen_hess,
            start,
            damping=0.5,
            increase=increase,
            decrease=decrease,
            max_iterations=16,
            callback=lambda r: points.append(r.x),
        )

        expected = newton_iterates(rosenbrock, scipy.optimize.rosen_hess, start, 0.5, increase, decrease, 15)
        assert np.allclose(points[:15], expected, rtol=1e-8)

    def test_converges_quadratically(self):
        norms = []

        newton.minimize_newton(
            rosenbrock,
            scipy.optimize.rosen_hess,
            np.array([1.1, 1.2]),
            rtol=1e-14,
            callback=lambda r: norms.append(np.linalg.norm(r.jac)),
        )

        assert norms[-1] < 1e-6
        assert len(norms) <= 6

    def test_step_is_damped(self, rng):
        fun, H, _ = quadratic(rng, 9)
        x0 = rng.standard_normal(9)

        found = newton.minimize_newton(fun, lambda x: H, x0, damping=5.0, max_iterations=1)

        expected = x0 - np.linalg.solve(H + 5 * np.eye(9), fun(x0)[1])
        assert np.allclose(found.x, expected, rtol=1e-12)

    @pytest.mark.parametrize("curvature", [-2.0, 0.0])
    def test_without_a_cholesky_factor_takes_a_unit_step_downhill(self, curvature):
        found = newton.minimize_newton(
            lambda x: (5 * x[0] - x[1], np.array([5.0, -1.0])),
            lambda x: np.diag([1.0, curvature]),
            np.zeros(2),
            max_iterations=1,
        )

        assert np.allclose(found.x, np.array([-5, 1]) / np.sqrt(26), rtol=1e-14)

    def test_leaves_a_region_of_negative_curvature(self):
        found = newton.minimize_newton(saddle, saddle_hessian, np.array([0.5, 0.01]), rtol=1e-10)

        assert found.success
        assert np.allclose(np.abs(found.x), [0, 1], atol=1e-8)

    def test_steps_into_nan_are_shortened(self):
        def fun(x):
            with np.errstate(invalid="ignore"):
                return float(x[0] - np.log(x[0])), 1 - 1 / x

        found = newton.minimize_newton(fun, lambda x: np.diag(1 / x**2), np.array([3.0]), rtol=1e-10)

        assert np.isclose(found.x[0], 1)

    def test_hessian_that_is_not_finite_ends_the_run(self):
        found = newton.minimize_newton(saddle, lambda x: np.full((2, 2), np.nan), np.ones(2))

        assert (found.status, found.success) == (3, False)

    def test_gradient_of_the_wrong_sign_ends_the_run(self):
        found = newton.minimize_newton(lambda x: (x @ x, -2 * x), lambda x: 2 * np.eye(2), np.ones(2))

        assert found.status == 3

    def test_ends_where_rounding_is_what_is_left(self, rng):
        fun, H, minimiser = quadratic(rng, 20)

        found = newton.minimize_newton(fun, lambda x: H, np.ones(20), rtol=0.0)

        assert found.status in {0, 1}
        assert np.allclose(found.x, minimiser, rtol=1e-10)

    def test_keeps_dtype_and_library(self):
        torch = pytest.importorskip("torch")

        found = newton.minimize_newton(lambda x: ((x**2).sum(), 2 * x), lambda x: 2 * torch.eye(3), torch.ones(3))

        assert found.x.dtype == torch.float32
        assert found.success


class TestGaussNewton:
    @pytest.mark.parametrize("options", [{}, {"damping": 1e-2, "increase": 10.0, "decrease": 0.1}])
    def test_fits_an_exponential(self, rng, options):
        residuals, truth = exponential_fit(rng)

        found = newton.minimize_gauss_newton(residuals, np.array([1.0, 0.5, 0.0]), rtol=1e-10, **options)

        assert found.success
        assert np.allclose(found.x, truth, rtol=1e-8)

    def test_has_the_error_of_the_jacobian_and_not_of_its_square(self, rng):
        """Condition 1e9: normal equations would have no digit left."""
        U, _ = np.linalg.qr(rng.standard_normal((30, 6)))
        V, _ = np.linalg.qr(rng.standard_normal((6, 6)))
        J, truth = U * np.geomspace(1, 1e-9, 6) @ V.T, rng.standard_normal(6)

        found = newton.minimize_gauss_newton(lambda x: (J @ (x - truth), J), np.zeros(6), rtol=1e-30, max_iterations=1)

        assert np.allclose(found.x, truth, rtol=1e-5)

    @pytest.mark.parametrize("shape", [(8, 3), (3, 8)])
    def test_takes_the_step_of_least_norm_where_rank_is_missing(self, rng, shape):
        J = rng.standard_normal(shape)
        J[-1] = J[0]
        J[:, -1] = J[:, 0]
        y = J @ rng.standard_normal(shape[1])

        found = newton.minimize_gauss_newton(lambda x: (J @ x - y, J), np.zeros(shape[1]), rtol=1e-30, max_iterations=1)

        assert np.allclose(found.x, np.linalg.pinv(J) @ y, atol=1e-12)

    def test_steps_after_shortened_ones_use_the_jacobian_of_the_point(self, rng):
        residuals, _ = exponential_fit(rng)
        points = [np.array([1.0, 6.0, -3.0])]

        newton.minimize_gauss_newton(residuals, points[0], max_iterations=20, callback=lambda r: points.append(r.x))

        for before, after in itertools.pairwise(points):
            phi, J = residuals(before)
            step, direction = after - before, np.linalg.lstsq(J, -phi)[0]
            assert np.isclose(step @ direction, np.linalg.norm(step) * np.linalg.norm(direction), rtol=1e-9)

    def test_jacobian_that_is_not_finite_at_the_first_point_is_a_status(self):
        found = newton.minimize_gauss_newton(lambda x: (x, np.full((2, 2), np.nan)), np.ones(2))

        assert found.status == 4


class TestConjugateGradients:
    def test_satisfy_the_descent_condition_at_every_iterate(self, rng):
        fun, H, _ = quadratic(rng, 20, condition=10.0)
        g = fun(np.zeros(20))[1]

        for k in range(1, 20):
            x = exact.conjugate_gradient(lambda v: H @ v, -g, rtol=0.0, max_iterations=k).solution
            assert np.isclose(x @ g, -x @ H @ x, rtol=1e-12)

    def test_report_negative_curvature_with_its_direction(self, rng):
        H = np.diag([3.0, 2.0, -1.0])

        found = exact.conjugate_gradient(lambda v: H @ v, np.array([1.0, 1.0, 1.0]))

        assert found.status == Status.NOT_POSITIVE_DEFINITE
        assert found.direction @ H @ found.direction <= 0

    def test_report_the_limit_with_the_true_residual(self, rng):
        fun, H, _ = quadratic(rng, 30)
        b = -fun(np.zeros(30))[1]

        found = exact.conjugate_gradient(lambda v: H @ v, b, max_iterations=5)

        true = np.linalg.norm(b - H @ found.solution) / np.linalg.norm(b)
        assert found.status == Status.NO_CONVERGENCE
        assert np.isclose(found.residual, true, rtol=1e-10)

    @pytest.mark.parametrize("unit", [1e-200, 1e200])
    def test_have_no_unit(self, rng, unit):
        H = np.diag([1.0, 2.0, 3.0])

        found = exact.conjugate_gradient(lambda v: H @ v, unit * np.ones(3))

        assert found.ok
        assert np.allclose(found.solution / unit, [1, 1 / 2, 1 / 3], rtol=1e-12)

    def test_survive_a_product_that_writes_to_its_argument(self):
        def product(v):
            v *= np.array([1.0, 2.0, 4.0])
            return v

        assert np.allclose(exact.conjugate_gradient(product, np.ones(3)).solution, [1, 1 / 2, 1 / 4], rtol=1e-12)

    def test_nonlinear_ones_go_along_the_directions_of_polak_and_ribiere_with_restarts(self):
        start = np.array([-1.2, 1.0, -1.2, 1.0])
        points, betas = [start], []

        newton.minimize_cg(rosenbrock, start, c2=0.5, callback=lambda r: points.append(r.x))

        d = g = None
        for before, after in itertools.pairwise(points[:40]):
            previous, g = g, rosenbrock(before)[1]
            if previous is None:
                d = -g
            else:
                betas.append(g @ (g - previous) / (previous @ previous))
                d = -g + max(betas[-1], 0) * d
            d = -g if d @ g >= 0 else d
            step = after - before
            assert np.isclose(step @ d, np.linalg.norm(step) * np.linalg.norm(d), rtol=1e-9)
        assert min(betas) < 0

    def test_of_zero_take_no_product(self):
        found = exact.conjugate_gradient(lambda v: v, np.zeros(3))

        assert (found.status, found.products, found.solution.tolist()) == (Status.OK, 0, [0.0] * 3)

    def test_of_nan_are_a_status(self):
        found = exact.conjugate_gradient(lambda v: v * np.nan, np.ones(3))

        assert found.status == Status.NOT_FINITE
        assert np.isnan(found.solution).all()

    @pytest.mark.parametrize("n", [2, 10])
    def test_nonlinear_ones_find_the_minimum_of_rosenbrock(self, n):
        found = newton.minimize_cg(rosenbrock, np.tile([-1.2, 1.0], n // 2), rtol=1e-10)

        assert found.success
        assert np.allclose(found.x, 1, atol=1e-6)

    @pytest.mark.parametrize("n", [1, 2, 5, 12])
    def test_nonlinear_ones_end_on_a_quadratic_after_n_iterations(self, rng, n):
        fun, _, minimiser = quadratic(rng, n, condition=10.0)

        found = newton.minimize_cg(fun, np.zeros(n), c2=1e-9, rtol=1e-7)

        assert found.nit <= n
        assert np.allclose(found.x, minimiser, atol=1e-6)

    def test_nonlinear_ones_end_where_rounding_is_what_is_left(self, rng):
        fun, _, minimiser = quadratic(rng, 10)

        found = newton.minimize_cg(fun, np.zeros(10), rtol=0.0)

        assert found.status in {0, 1}
        assert np.allclose(found.x, minimiser, atol=1e-6)

    def test_nonlinear_ones_report_a_gradient_of_the_wrong_sign(self):
        assert newton.minimize_cg(lambda x: (x @ x, -2 * x), np.ones(3)).status == 3


class TestRprop:
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_is_that_of_the_papers_coordinate_by_coordinate(self, rng, variant):
        gradients, values = rng.standard_normal((40, 6)), rng.standard_normal(40)
        gradients[rng.random((40, 6)) < 0.1] = 0
        method = newton.Rprop(6, variant=variant)

        updates = np.array([method.step(g, value) for g, value in zip(gradients, values, strict=True)])

        expected = np.column_stack([rprop(variant, gradients[:, i], values) for i in range(6)])
        assert np.allclose(updates, expected, rtol=1e-13)

    def test_irprop_minus_is_that_of_torch(self, rng):
        torch = pytest.importorskip("torch")
        gradients = rng.standard_normal((50, 5))
        x = torch.zeros(5, dtype=torch.float64, requires_grad=True)
        reference, method, found = torch.optim.Rprop([x], lr=0.01), newton.Rprop(5), np.zeros(5)

        for g in gradients:
            x.grad = torch.from_numpy(g.copy())
            reference.step()
            found = found + method.step(g)

        assert np.allclose(found, x.detach().numpy(), rtol=1e-12)

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_minimises_a_quadratic(self, rng, variant):
        fun, _, minimiser = quadratic(rng, 6, condition=10.0)
        method, x = newton.Rprop(6, variant=variant), np.zeros(6)

        for _ in range(400):
            value, gradient = fun(x)
            x = x + method.step(gradient, value)

        assert np.allclose(x, minimiser, atol=1e-3)

    def test_sizes_stay_within_their_limits(self):
        method = newton.Rprop(2, step_size=1.0, limits=(0.2, 3.0))

        for k in range(30):
            method.step(np.array([1.0, (-1.0) ** k]))

        assert method.sizes.tolist() == [3.0, 0.2]

    def test_bad_gradient_is_reported_and_does_not_touch_the_others(self):
        method, alone = newton.Rprop(3), newton.Rprop(2)

        for bad in (np.nan, 1.0, np.inf, 1.0):
            update, expected = method.step(np.array([2.0, bad, -1.0])), alone.step(np.array([2.0, -1.0]))
            assert update[[0, 2]].tolist() == expected.tolist()
            assert np.isnan(update[1]) == (not np.isfinite(bad))
            assert method.status.tolist() == [0, 0 if bad == 1 else Status.NOT_FINITE, 0]

    def test_value_that_is_not_finite_counts_as_risen_and_is_forgotten(self):
        method, g = newton.Rprop(1, variant="irprop+", step_size=1.0), np.ones(1)
        method.step(g, 1.0)

        back, forth = method.step(-g, np.inf), method.step(-g, np.nan)
        after = method.step(g, 5.0)

        assert (back.tolist(), forth.tolist(), after.tolist()) == ([1.0], [0.5], [0.0])

    def test_goes_on_from_a_state_and_from_a_pickle(self, rng):
        method = newton.Rprop(4, variant="irprop+")
        for value, g in enumerate(rng.standard_normal((7, 4))):
            method.step(g, value)

        other = newton.Rprop(4, variant="irprop+")
        other.load_state_dict(method.state_dict())
        third = pickle.loads(pickle.dumps(method))

        g = rng.standard_normal(4)
        assert method.step(g, 9.0).tobytes() == other.step(g, 9.0).tobytes() == third.step(g, 9.0).tobytes()

    def test_keeps_dtype_and_library(self):
        torch = pytest.importorskip("torch")

        assert newton.Rprop(3).step(torch.ones(3)).dtype == torch.float32


class TestArguments:
    @pytest.mark.parametrize(
        ("call", "error", "words"),
        [
            (lambda: newton.Rprop(2, variant="rprop+"), ValueError, "variant must be one of toussaint"),
            (lambda: newton.Rprop(2, limits=(1.0, 0.5)), ValueError, r"limits\[1\] must be a number >= 1"),
            (lambda: newton.Rprop(2, increase=1.0), ValueError, "increase must be"),
            (lambda: newton.Rprop(2).step(np.ones(3)), ValueError, r"shape \(2,\), got \(3,\)"),
            (lambda: newton.Rprop(2, variant="irprop+").step(np.ones(2)), ValueError, "value must be given"),
            (lambda: newton.Rprop(2).load_state_dict({"sizes": np.ones(2)}), ValueError, "state must have sizes"),
            (lambda: exact.conjugate_gradient(lambda v: v[:1], np.ones(2)), ValueError, r"\(2,\), got \(1,\)"),
            (lambda: exact.conjugate_gradient(lambda v: v, np.ones(2), rtol=-1), ValueError, "rtol must be"),
            (lambda: newton.minimize_cg(rosenbrock, np.ones(2), c2=1.0), ValueError, "c2 must be a number in"),
            (lambda: newton.minimize_newton(rosenbrock, lambda x: x, np.zeros(2)), ValueError, "the Hessian must have"),
            (
                lambda: newton.minimize_newton(rosenbrock, lambda x: x, np.ones(2), increase=0.5),
                ValueError,
                "increase must be a finite number >= 1",
            ),
            (
                lambda: newton.minimize_gauss_newton(lambda x: (x, np.ones((2, 3))), np.ones(2)),
                ValueError,
                r"J must have shape \(2, 2\), got \(2, 3\)",
            ),
        ],
    )
    def test_that_are_wrong_end_in_a_sentence(self, call, error, words):
        with pytest.raises(error, match=words):
            call()

    @pytest.mark.emulated
    @pytest.mark.parametrize("backend", ["emu"], indirect=True)
    def test_of_a_device_are_refused(self, backend):
        with pytest.raises(TypeError, match="must be in the CPU's memory"):
            newton.Rprop(3).step(backend.to_device(np.ones(3)))


TINY = 1e-200


def test_newton_goes_to_the_minimum_where_squares_of_gradients_vanish():
    found = newton.minimize_newton(lambda x: (TINY * (x @ x) / 2, TINY * x), lambda x: TINY * np.eye(2), np.ones(2))

    assert found.success
    assert found.x == pytest.approx([0, 0], abs=1e-9)


def test_conjugate_gradients_report_no_success_where_squares_of_gradients_vanish():
    found = newton.minimize_cg(lambda x: (TINY * (x @ x) / 2, TINY * x), np.ones(2))

    assert not found.success


def test_gauss_newton_reports_no_success_where_squares_of_residuals_vanish():
    found = newton.minimize_gauss_newton(lambda x: (TINY * (x - 3), TINY * np.eye(2)), np.ones(2))

    assert not found.success


@pytest.mark.parametrize("hessian", [[[1.0, 0.0], [0.0, 1.0]], np.eye(2, dtype=np.float32)])
def test_newton_names_a_hessian_that_is_none(hessian):
    with pytest.raises(ValueError, match="minimize_newton: the Hessian must be of the dtype float64 of x0, got"):
        newton.minimize_newton(lambda x: ((x @ x) / 2, x), lambda x: hessian, np.ones(2))


@pytest.mark.parametrize("size", [1e3, 1e-9])
def test_rprop_refuses_a_step_size_outside_of_its_limits(size):
    with pytest.raises(ValueError, match="Rprop: step_size must lie in limits = "):
        newton.Rprop(2, step_size=size)


def test_rprop_refuses_limits_that_are_no_pair():
    with pytest.raises(ValueError, match="Rprop: limits must be two numbers"):
        newton.Rprop(2, limits=3)


@pytest.mark.parametrize("scale", [1e-30, 1e-150])
def test_conjugate_gradients_do_not_take_a_first_step_that_is_too_short_for_rounding(scale):
    found = newton.minimize_cg(lambda x: (scale * (x @ x) / 2, scale * x), np.array([1.0, 2.0]))

    assert found.success
    assert found.x == pytest.approx([0, 0], abs=1e-5)
