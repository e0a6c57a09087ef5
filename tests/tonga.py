"""TONGA on each backend: arrays of the host in and out."""

import numpy as np

LIMITS = {"rank": 3, "window": 4, "decay": 0.9, "damping": 0.1}


def steps_on(on, method, gradients):
    """Step by step on a backend; arrays of the host in and out."""
    if not hasattr(on, "to_device"):
        return [method.step(g) for g in gradients]
    return [on.to_host(method.step(on.to_device(g))) for g in gradients]


def on_host(on, x):
    return on.to_host(x) if hasattr(on, "to_host") else x


def relative_errors(found, expected):
    return [np.linalg.norm(v - w) / np.linalg.norm(w) for v, w in zip(found, expected, strict=True)]
