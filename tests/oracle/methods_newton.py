"""Quadratics and curve fits, and Rprop coordinate by coordinate as its papers write it."""

import numpy as np


def quadratic(rng, n, condition=100.0):
    """Return value and gradient of a convex quadratic as a function, its Hessian and its minimiser."""
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    H, b = basis * np.geomspace(1, condition, n) @ basis.T, rng.standard_normal(n)
    H = (H + H.T) / 2
    return lambda x: (x @ H @ x / 2 - b @ x, H @ x - b), H, np.linalg.solve(H, b)


def exponential_fit(rng, points=30):
    """Return residuals and Jacobian of ``a exp(-b t) + c`` as a function of (a, b, c), and the true parameters."""
    t, truth = np.linspace(0, 3, points), np.array([2.0, 1.3, 0.5])
    y = truth[0] * np.exp(-truth[1] * t) + truth[2]

    def residuals(x):
        e = np.exp(-x[1] * t)
        return x[0] * e + x[2] - y, np.column_stack([e, -x[0] * t * e, np.ones_like(t)])

    return residuals, truth


def rprop(variant, gradients, values, size=0.01, up=1.2, down=0.5, limits=(1e-6, 50.0)):
    """Return the updates for gradients of one parameter, with an if for every case."""
    before, last, value_before, updates = 0.0, 0.0, np.inf, []
    for g, value in zip(gradients, values, strict=True):
        if g * before > 0:
            size = min(size * up, limits[1])
        elif g * before < 0:
            size = max(size * down, limits[0])
        turned = g * before < 0
        update = -size * np.sign(g)
        if turned and variant == "irprop-":
            update = 0.0
        if turned and variant == "irprop+":
            update = -last if value > value_before else 0.0
        before = 0.0 if turned and variant != "rprop-" else g
        last, value_before = update, value
        updates.append(update)
    return np.array(updates)


def newton_iterates(fun, hessian, x, damping, increase, decrease, steps):
    """Return the points of Newton's method as the lecture writes it, with both of its options."""
    alpha, points = 1.0, []

    def direction():
        g = fun(x)[1]
        shifted = hessian(x) + damping * np.eye(len(x))
        if np.linalg.eigvalsh(shifted)[0] <= 0:
            return -g / np.linalg.norm(g)
        return np.linalg.solve(shifted, -g)

    for _ in range(steps):
        value, g = fun(x)
        d = direction()
        while fun(x + alpha * d)[0] > value + 0.01 * g @ (alpha * d):
            alpha *= 0.5
            damping *= increase
            d = direction()
        x, alpha, damping = x + alpha * d, min(1.2 * alpha, 1), damping * decrease
        points.append(x)
    return np.array(points)
