"""Arrays that methods cannot read: refused by sentences that name the function and the argument."""

import numpy as np
import pytest

import curvblas as cb
from curvblas.methods import _float64, dice, exact, kalman, natural_q, tango, whitening

torch = pytest.importorskip("torch")
REFUSALS = [
    (lambda: torch.ones(2, requires_grad=True), r"an array that requires gradients: call .detach\(\) first"),
    (lambda: torch.ones(2).bfloat16(), "an array of torch.bfloat16, .* float16, float32 and float64 are taken"),
    (lambda: torch.ones(2).to_sparse(), "an array that its library does not hand over: Can't export tensors with"),
    (lambda: torch.ones(2, device="meta"), "an array that its library does not hand over: .*meta"),
]


@pytest.mark.parametrize(("made", "message"), REFUSALS)
@pytest.mark.parametrize("function", [_float64.float64, _float64.require_cpu])
def test_readers_name_the_owner_and_the_argument(function, made, message):
    with pytest.raises(TypeError, match=f"owner: name must be an array that NumPy can read, got {message}"):
        function("owner", "name", made())


def test_readers_take_half_precision():
    found = _float64.float64("owner", "name", torch.ones(2).half())

    assert found.dtype == np.float64


@pytest.mark.parametrize(("made", "message"), REFUSALS)
def test_classes_over_kernels_say_what_is_wrong(made, message):
    with pytest.raises(TypeError, match=message):
        cb.TONGA(2).step(made())


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("rows", lambda x: exact.NaturalGradient(2).step(x[None], np.ones(1))),
        ("gradient", lambda x: tango.TANGO(2, gamma=0.1, dt=0.1).step(x)),
        ("jacobian", lambda x: kalman.ExponentialFamilyFilter("gaussian", 2).step(x[None], np.zeros(1), np.ones(1))),
        ("jacobian", lambda x: natural_q.natural_q_step(x[None], np.ones(1), 0.1)),
        ("factors", lambda x: whitening.whiten(x[:, None] * x)),
        ("log_probs", lambda x: dice.dice_weights(x, np.ones(2))),
        ("rows", lambda x: cb.gram(x[None])),
    ],
)
def test_methods_name_an_array_that_requires_gradients(name, call):
    with pytest.raises(TypeError, match=rf": {name} must be .*detach\(\)"):
        call(torch.ones(2, requires_grad=True))
