"""The examples of K-FAC and PRONG: derivatives against differences, and that they run."""

import numpy as np
import pytest

from curvblas.examples.outputs import BERNOULLI

convolutional, kfac, prong = (
    pytest.importorskip(f"curvblas.examples.methods.{name}") for name in ("convolutional", "kfac", "prong")
)


def test_gradients_of_the_convolutional_network_are_the_slopes_of_the_mean_loss(rng):
    weights = [W.astype(np.float64) for W in convolutional.initial_weights(kfac.NET, rng)]
    images, targets = rng.random((3, 1, 8, 8)), rng.random((3, 64))
    direction = [rng.standard_normal(W.shape) for W in weights]

    def loss(t):
        moved = [W + t * d for W, d in zip(weights, direction, strict=True)]
        return BERNOULLI.losses(convolutional.forward(kfac.NET, moved, images)[1], targets).mean()

    inputs, natural = convolutional.forward(kfac.NET, weights, images)
    g = convolutional.backward(kfac.NET, weights, inputs, BERNOULLI.mean(natural) - targets)
    V = convolutional.gradients(kfac.NET, inputs, g)

    slope = sum(np.vdot(v, d) for v, d in zip(V, direction, strict=True))
    assert np.isclose(slope, (loss(1e-6) - loss(-1e-6)) / 2e-6, rtol=1e-6)


@pytest.mark.parametrize("example", [kfac, prong], ids=["kfac", "prong"])
def test_the_example_draws_its_picture_and_tells_its_figures(example, tmp_path):
    paragraph = example.run(True, tmp_path)

    name = example.__name__.rpartition(".")[2]
    assert (tmp_path / f"method_{name}.png").stat().st_size > 10_000
    assert paragraph.count(" s)") >= 3
    assert "nan" not in paragraph.split()
