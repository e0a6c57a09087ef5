"""Identities of Newton's method, Gauss-Newton, conjugate gradients and Rprop."""

import numpy as np

from curvblas.methods import exact, newton

from identities import largest
from oracle import relative_error
from oracle.methods_newton import quadratic


def newton_solves_a_quadratic_in_one_step() -> float:
    """One Newton step on a quadratic == its minimiser."""
    rng = np.random.default_rng(11)
    fun, H, minimiser = quadratic(rng, 30)
    found = newton.minimize_newton(fun, lambda x: H, rng.standard_normal(30), rtol=1e-30, max_iterations=1)
    return relative_error(found.x, minimiser)


def gauss_newton_is_newton_of_the_half_squared_loss() -> float:
    """Damped Gauss-Newton step of phi.phi, J long and wide == -(J^T J + damping I)^-1 J^T phi."""
    rng, worst = np.random.default_rng(12), 0.0
    for m, n in ((40, 10), (10, 40)):
        J, phi, x0 = rng.standard_normal((m, n)), rng.standard_normal(m), rng.standard_normal(n)
        found = newton.minimize_gauss_newton(
            lambda x, J=J, phi=phi: (J @ x - phi, J), x0, damping=0.3, rtol=1e-30, max_iterations=1
        )
        step = np.linalg.solve(J.T @ J + 0.3 * np.eye(n), -J.T @ (J @ x0 - phi))
        worst = largest(worst, relative_error(found.x - x0, step))
    return worst


def conjugate_gradients_end_after_n_products() -> float:
    """n iterates of linear conjugate gradients == the solution, for a matrix with n eigenvalues."""
    rng = np.random.default_rng(13)
    fun, H, minimiser = quadratic(rng, 12, condition=10.0)
    return relative_error(
        exact.conjugate_gradient(lambda v: H @ v, -fun(np.zeros(12))[1], rtol=0.0, max_iterations=12).solution,
        minimiser,
    )


def polak_ribiere_is_linear_on_a_quadratic() -> float:
    """Nonlinear conjugate gradients with exact searches from 0 == linear ones, iterate by iterate."""
    rng = np.random.default_rng(14)
    fun, H, _ = quadratic(rng, 10, condition=10.0)
    b, iterates = -fun(np.zeros(10))[1], []
    newton.minimize_cg(
        fun, np.zeros(10), c2=1e-9, rtol=1e-30, max_iterations=9, callback=lambda r: iterates.append(r.x)
    )
    linear = [
        exact.conjugate_gradient(lambda v: H @ v, b, rtol=0.0, max_iterations=k + 1).solution
        for k in range(len(iterates))
    ]
    return largest(*map(relative_error, iterates, linear))


def rprop_has_no_unit_of_the_function() -> float:
    """Updates of Rprop for 1e12 f and 1e-12 f == those for f."""
    worst = 0.0
    for variant in ("toussaint", "rprop-", "irprop-", "irprop+"):
        courses = []
        for scale in (1.0, 1e12, 1e-12):
            fun, _, _ = quadratic(np.random.default_rng(15), 8)
            method, x = newton.Rprop(8, variant=variant), np.ones(8)
            for _ in range(100):
                value, gradient = fun(x)
                x = x + method.step(scale * gradient, scale * value)
            courses.append(x)
        worst = largest(worst, *(relative_error(x, courses[0]) for x in courses[1:]))
    return worst


IDENTITIES = [
    (newton_solves_a_quadratic_in_one_step, 1e-13),
    (gauss_newton_is_newton_of_the_half_squared_loss, 1e-13),
    (conjugate_gradients_end_after_n_products, 1e-13),
    (polak_ribiere_is_linear_on_a_quadratic, 1e-8),
    (rprop_has_no_unit_of_the_function, 0.0),
]
