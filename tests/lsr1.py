"""Limited-memory SR1 models with a known spectrum, and what tells whether a step solves their trust-region problem."""

import numpy as np

import curvblas as cb

import oracle

CLASSES = {
    "definite, interior": ((0.5, 2), 0.1, "any", 1.5),
    "definite, boundary": ((0.5, 2), 0.1, "any", 0.5),
    "singular, in range": ((0.5, 2), 0.0, "without lowest", 1.5),
    "singular, boundary": ((0.5, 2), 0.0, "without lowest", 0.5),
    "indefinite": ((0.5, 2), -1.0, "any", None),
    "indefinite, nothing along the lowest": ((0.5, 2), -1.0, "without lowest", 0.5),
    "hard, in the span": ((0.5, 2), -1.0, "without lowest", 2.0),
    "hard, outside of the span": ((-2, -0.5), None, "in the span", 2.0),
}
"""gamma's range, the lowest eigenvalue (None: gamma), g, and the radius over that of the step without a multiplier."""


def problem(rng, name, n=40, k=5):
    """S, Y, gamma, g and radius of one of the eight classes of Brust, Erway and Marcia 2017, section 5."""
    (low, high), lowest, kind, factor = CLASSES[name]
    gamma = rng.uniform(low, high)
    Q = np.linalg.qr(rng.standard_normal((n, k)))[0]
    # Away from gamma, and S not far from the span of Q: else rounding of S and Y alone would change B by more than
    # the bounds.
    values = gamma + rng.uniform(0.5, 5, k)
    if lowest is not None:
        values[1::2] = gamma * rng.uniform(0.3, 0.7, len(values[1::2]))
        values[0] = lowest
    B = gamma * np.eye(n) + Q @ np.diag(values - gamma) @ Q.T
    S = np.linalg.qr(rng.standard_normal((k, k)))[0] @ Q.T + 0.2 * rng.standard_normal((k, n)) / np.sqrt(n)
    Y = S @ B
    B = oracle.sr1_matrix(S, Y, gamma)
    g = rng.standard_normal(n)
    eigenvalues, V = np.linalg.eigh(B)
    if kind == "in the span":
        g = rng.standard_normal(k) @ (Y - gamma * S)
    kept = np.ones(n, bool)
    if kind == "without lowest":
        g = g - V[:, 0] * (V[:, 0] @ g)
        g = g - V[:, 0] * (V[:, 0] @ g)
        kept[0] = False
    if kind == "in the span":
        kept = eigenvalues > gamma + 1e-8
    sigma = 0.0 if eigenvalues[0] > -1e-8 else -eigenvalues[0]
    if factor is None:
        return S, Y, gamma, g, rng.uniform(0.5, 2)
    p = V[:, kept] @ ((V[:, kept].T @ g) / (eigenvalues[kept] + sigma))
    return S, Y, gamma, g, factor * np.linalg.norm(p)


def near_hard(rng, tau, n=40, k=5):
    """A model with lowest eigenvalue gamma < 0 and two nearly parallel rows of Psi, for the multiplier tau - gamma."""
    while True:
        gamma = -rng.uniform(0.5, 2)
        Psi = rng.standard_normal((k, n))
        Psi[1] = Psi[0] + 1e-4 * rng.standard_normal(n)
        S = Psi / n + 0.5 * rng.standard_normal((k, n)) / np.sqrt(n)
        lower = np.tril(S @ Psi.T)
        inverse = lower + np.tril(lower, -1).T
        values = np.linalg.eigvalsh(inverse)
        if values[0] > 1e-3 * values[-1]:
            break
    R = np.linalg.qr(Psi.T)
    model = R[1] @ np.linalg.solve(inverse, R[1].T)
    d, U = np.linalg.eigh((model + model.T) / 2)
    inside = R[0] @ U
    outside = rng.standard_normal(n)
    for _ in range(2):
        outside -= inside @ (inside.T @ outside)
    outside /= np.linalg.norm(outside)
    p = inside @ rng.standard_normal(k) + outside
    g = -(inside @ ((d + tau) * (inside.T @ p)) + tau * outside)
    return S, gamma * S + Psi, gamma, g, np.linalg.norm(p)


def errors(S, Y, gamma, g, radius, found):
    """Relative residual, of the length, of the lowest eigenvalue's sign, and of the value over the oracle's."""
    return errors_of(oracle.sr1_matrix(S, Y, gamma), g, radius, found)


def errors_of(B, g, radius, found):
    """The same for a matrix."""
    g, p, sigma = np.float64(g), np.float64(found.step), float(found.multiplier)
    values = np.linalg.eigvalsh(B)
    norm, length = np.abs(values).max(), np.linalg.norm(p)
    residual = np.linalg.norm(B @ p + sigma * p + g) / ((norm + sigma) * length + np.linalg.norm(g) or 1.0)
    best = oracle.trust_region(B, g, radius)[0]
    return {
        "residual": residual,
        "length": abs(length / radius - 1) if sigma > 1e-10 * norm else max(length / radius - 1, 0),
        "curvature": max(-(values[0] + sigma) / norm, 0.0),
        "value": (g @ p + 0.5 * p @ B @ p - best) / abs(best),
        "reduction": abs(float(found.predicted_reduction) + g @ p + 0.5 * p @ B @ p) / abs(best),
    }


class Embedding:
    """An isometry from few variables to many: each becomes a run of neighbours with random signs."""

    def __init__(self, rng, few, many):
        self._begins = np.linspace(0, many, few, endpoint=False).astype(int)
        counts = np.diff([*self._begins, many])
        self._weights = rng.choice([-1.0, 1.0], many) / np.sqrt(np.repeat(counts, counts))
        self._counts = counts

    def spread(self, x):
        return np.repeat(x, self._counts, axis=-1) * self._weights

    def gather(self, x):
        return np.add.reduceat(x * self._weights, self._begins, axis=-1)

    def errors(self, S, Y, gamma, g, radius, found):
        """As `errors` for a problem of few variables, and the step of many that was found for it."""
        p, sigma = np.float64(found.step), float(found.multiplier)
        inside, B = self.gather(p), oracle.sr1_matrix(S, Y, gamma)
        outside = np.linalg.norm(p - self.spread(inside))
        values = np.append(np.linalg.eigvalsh(B), gamma)
        norm, length = np.abs(values).max(), np.linalg.norm(p)
        residual = np.hypot(np.linalg.norm(B @ inside + sigma * inside + g), (gamma + sigma) * outside)
        return {
            "residual": residual / ((norm + sigma) * length + np.linalg.norm(g)),
            "length": abs(length / radius - 1) if sigma > 1e-10 * norm else max(length / radius - 1, 0),
            "curvature": max(-(values.min() + sigma) / norm, 0.0),
        }


def worst(all_errors):
    """The largest of each error; NaN where there is one."""
    return {name: np.max([e[name] for e in all_errors]) for name in all_errors[0]}


def stacked(problems):
    S, Y, gamma, g, radius = (np.array(part) for part in zip(*problems, strict=True))
    return {"S": S, "Y": Y, "grad": g, "radius": radius, "gamma": gamma}


def one_of(found, b):
    return cb.TrustRegionStep(*(np.asarray(getattr(found, f))[b] for f in found.__dataclass_fields__))


def all_errors(problems, found):
    return [errors(*problem, one_of(found, b)) for b, problem in enumerate(problems)]


def on(backend, method, name, *given):
    """Call a method on a backend; arrays of the host in and out."""
    if not hasattr(backend, "to_device"):
        return getattr(method, name)(*given)
    result = getattr(method, name)(*(backend.to_device(x) if isinstance(x, np.ndarray) else x for x in given))
    if isinstance(result, cb.TrustRegionStep):
        return cb.TrustRegionStep(*(backend.to_host(getattr(result, f)) for f in result.__dataclass_fields__))
    return backend.to_host(result)
