"""Relative Fisher metrics: their identities, steps against dense systems, states and arguments."""

import pickle

import numpy as np
import pytest

from curvblas import Status
from curvblas.methods import relative_fisher
from curvblas.methods.relative_fisher import RelativeNaturalGradient, neuron_information

from identities.relative_fisher import IDENTITIES
from oracle.methods_relative_fisher import softmax_fisher

KINDS = ["tanh", "relu", "softmax"]


def batch(rng, dtype=np.float64, N=12):
    """Return gradients, rows and outputs of three layers."""
    shapes = [(4, 3), (3, 5), (5, 3)]
    grads = [rng.standard_normal((q, n + 1)).astype(dtype) for n, q in shapes]
    rows = [rng.standard_normal((N, n)).astype(dtype) for n, _ in shapes]
    outputs = [rng.standard_normal((N, q)).astype(dtype) for _, q in shapes]
    odds = np.exp(outputs[2])
    outputs[2] = odds / odds.sum(axis=1, keepdims=True)
    return grads, rows, outputs


def dense_steps(given, damping):
    """Return the steps of a first batch from dense systems."""
    steps = []
    for kind, g, x, t in zip(KINDS, *map(list, given), strict=True):
        homogeneous = np.concatenate([x, np.ones((len(x), 1))], axis=1)
        if kind == "softmax":
            C = softmax_fisher(np.float64(x), np.float64(t))
            scale = (t * (1 - t)).mean()
            steps.append(np.linalg.solve(C + damping * scale * np.eye(len(C)), g.ravel()).reshape(g.shape))
            continue
        nu = 1 - np.tanh(t) ** 2 if kind == "tanh" else (t > 0).astype(np.float64)
        M = np.einsum("nk,ni,nj->kij", nu, homogeneous, homogeneous) / len(x)
        shifts = damping * nu.mean(axis=0)[:, None, None] * np.eye(M.shape[1])
        steps.append(np.linalg.solve(M + shifts, g[..., None])[..., 0])
    return steps


@pytest.mark.parametrize(("identity", "bound"), IDENTITIES, ids=lambda x: getattr(x, "__name__", ""))
def test_identities_hold(identity, bound):
    assert identity() <= bound


class TestInformation:
    @pytest.mark.parametrize("kind", ["tanh", "sigmoid"])
    def test_saturated_neurons_keep_their_digits(self, kind):
        slope = 2 if kind == "tanh" else 1

        nu = neuron_information(kind, np.array([-30.0, 30.0]))

        assert np.allclose(nu, slope**2 * np.exp(-slope * 30.0), rtol=1e-12)

    @pytest.mark.parametrize("kind", ["linear", "tanh", "sigmoid", "relu", "elu"])
    def test_is_finite_far_out_and_nan_for_nan(self, kind):
        nu = neuron_information(kind, np.array([-1e300, -1e4, 0.0, 1e4, 1e300, np.nan]), leak=0.1, width=0.5)

        assert np.isfinite(nu[:-1]).all()
        assert (nu[:-1] >= 0).all()
        assert np.isnan(nu[-1]) or kind == "linear"

    def test_a_dead_relu_with_a_leak_has_its_square(self):
        nu = neuron_information("relu", np.array([-2.0, -1e-9, 3.0]), leak=0.2)

        assert np.allclose(nu, [0.04, 0.04, 1.0], rtol=1e-15)

    def test_keeps_dtype_and_library(self):
        torch = pytest.importorskip("torch")

        nu = neuron_information("tanh", torch.zeros(2, 3))

        assert isinstance(nu, torch.Tensor)
        assert nu.dtype == torch.float32
        assert bool((nu == 1).all())

    def test_arrays_of_a_device_are_refused(self, emulated):
        with pytest.raises(TypeError, match="neuron_information: t must be in the CPU's memory"):
            neuron_information("tanh", emulated.to_device(np.ones((2, 3))))

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"kind": "gelu"}, "kind must be one of linear, tanh, sigmoid, relu, elu, got 'gelu'"),
            ({"leak": 1.0}, r"leak must be a number in \[0, 1\), got 1.0"),
            ({"width": -1.0}, "width must be a finite number >= 0"),
            ({"alpha": 0.0}, "alpha must be a finite number > 0"),
        ],
    )
    def test_parameters_out_of_range_are_refused(self, options, expected):
        with pytest.raises(ValueError, match=expected):
            neuron_information(**{"kind": "relu", "t": np.zeros(2), **options})

    def test_the_softmax_metric_has_the_null_space_of_its_layer(self, rng):
        _, rows, outputs = batch(rng, N=40)

        values = np.linalg.eigvalsh(relative_fisher.softmax_information(rows[2], outputs[2]))

        p = rows[2].shape[1] + 1
        assert np.abs(values[:p]).max() < 1e-15
        assert values[p] > 1e-4


class TestSteps:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_solve_dense_systems(self, cpu, rng, dtype):
        given = batch(rng, dtype)

        found = RelativeNaturalGradient(KINDS, damping=0.1).precondition(*given)

        errors = [
            np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(found, dense_steps(given, 0.1), strict=True)
        ]
        assert max(errors) < 500 * np.finfo(dtype).eps

    def test_factors_are_kept_between_periods(self, rng):
        method, given = RelativeNaturalGradient(KINDS, damping=0.1, period=3), batch(rng)
        first = method.precondition(*given)

        others = [method.precondition(given[0], *batch(rng)[1:]) for _ in range(3)]

        same = [all(np.array_equal(a, b) for a, b in zip(x, first, strict=True)) for x in others]
        assert same == [True, True, False]

    def test_a_dead_unit_keeps_its_zero_gradient(self, rng):
        grads, rows, outputs = batch(rng)
        outputs[1][:, 2], grads[1][2] = -1.0, 0.0
        method = RelativeNaturalGradient(KINDS, damping=0.1)

        found = method.precondition(grads, rows, outputs)

        assert not found[1][2].any()
        assert (method.status[1] == Status.OK).all()

    def test_a_bad_unit_does_not_touch_the_others(self, rng):
        grads, rows, outputs = batch(rng)
        clean = RelativeNaturalGradient(KINDS, damping=0.1).precondition(grads, rows, outputs)
        outputs[0][3, 1] = np.nan
        method = RelativeNaturalGradient(KINDS, damping=0.1)

        found = method.precondition(grads, rows, outputs)

        assert method.status[0].tolist() == [Status.OK, Status.NOT_FINITE, Status.OK]
        assert np.isnan(found[0][1]).all()
        assert np.array_equal(found[0][[0, 2]], clean[0][[0, 2]])
        assert all(np.array_equal(a, b) for a, b in zip(found[1:], clean[1:], strict=True))


class TestStates:
    def test_a_loaded_object_goes_on_with_the_same_bits(self, rng):
        method, other = (RelativeNaturalGradient(KINDS, damping=0.1, period=2) for _ in range(2))
        for _ in range(2):
            method.precondition(*batch(rng))
        method.precondition(*batch(rng))
        other.load_state_dict(pickle.loads(pickle.dumps(method.state_dict())))

        for _ in range(2):
            given = batch(rng)
            expected, found = method.precondition(*given), other.precondition(*given)

        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))

    def test_objects_are_pickled(self, rng):
        method = RelativeNaturalGradient(KINDS, damping=0.1)
        method.precondition(*batch(rng))
        other, given = pickle.loads(pickle.dumps(method)), batch(rng)

        assert all(
            np.array_equal(a, b) for a, b in zip(other.precondition(*given), method.precondition(*given), strict=True)
        )

    @pytest.mark.parametrize("state", [{}, {"steps": 1}, {"steps": 0, "moments": [], "factors": []}])
    def test_states_that_do_not_fit_are_refused(self, state):
        with pytest.raises(ValueError, match=r"state must have steps"):
            RelativeNaturalGradient(KINDS, damping=0.1).load_state_dict(state)


class TestArguments:
    def test_what_does_not_fit_is_refused_before_anything_is_kept(self, rng):
        method, (grads, rows, outputs) = RelativeNaturalGradient(KINDS, damping=0.1), batch(rng)

        with pytest.raises(ValueError, match="grads must be a list of 3 arrays, one for each of kinds"):
            method.precondition(grads[:1], rows[:1], outputs[:1])
        with pytest.raises(ValueError, match=r"grads\[1\] must have shape \(5, 4\)"):
            method.precondition([grads[0], grads[1].T, grads[2]], rows, outputs)
        with pytest.raises(TypeError, match="rows must be a list of arrays like grads"):
            method.precondition(grads, rows[0], outputs)

        assert method.state_dict() == {"steps": 0}

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"kinds": ["gelu"]}, "kinds must be a sequence of linear, tanh"),
            ({"kinds": "tanh"}, "kinds must be a sequence of linear, tanh"),
            ({"damping": 0.0}, "damping must be a finite number > 0"),
            ({"decay": 1.0}, r"decay must be a number in \[0, 1\)"),
            ({"period": 0}, "period must be an int >= 1"),
            ({"leak": -0.5}, "leak must be a number in"),
        ],
    )
    def test_parameters_out_of_range_are_refused(self, options, expected):
        with pytest.raises(ValueError, match=expected):
            RelativeNaturalGradient(**{"kinds": KINDS, "damping": 0.1, **options})


class TestRecovery:
    @pytest.mark.parametrize("layer", [0, 2])
    def test_metrics_with_nan_begin_anew(self, rng, layer):
        method, (grads, rows, outputs) = RelativeNaturalGradient(KINDS, damping=0.1, period=9), batch(rng)
        bad = [t.copy() for t in outputs]
        bad[layer][0, 0] = np.nan
        method.precondition(grads, rows, bad)

        found = method.precondition(grads, rows, outputs)

        expected = RelativeNaturalGradient(KINDS, damping=0.1).precondition(grads, rows, outputs)
        assert all((status == Status.OK).all() for status in method.status)
        assert np.allclose(found[layer], expected[layer], rtol=1e-12)

    def test_gradients_with_nan_are_reported_by_unit(self, rng):
        method, (grads, rows, outputs) = RelativeNaturalGradient(KINDS, damping=0.1), batch(rng)
        grads[0][1, 0] = np.nan

        method.precondition(grads, rows, outputs)

        assert method.status[0].tolist() == [Status.OK, Status.NOT_FINITE, Status.OK]

    def test_no_rows_are_no_step(self, rng):
        method, (grads, rows, outputs) = RelativeNaturalGradient(KINDS, damping=0.1), batch(rng)
        empty = [x[:0] for x in rows], [x[:0] for x in outputs]
        with pytest.raises(ValueError, match=r"rows\[0\] must have rows at first, got shape \(0, 4\)"):
            method.precondition(grads, *empty)
        expected = method.precondition(grads, rows, outputs)

        found = method.precondition(grads, *empty)

        assert method.state_dict()["steps"] == 1
        assert all(map(np.array_equal, found, expected))

    def test_other_sizes_are_refused_before_anything_is_written(self, rng):
        method, (grads, rows, outputs) = RelativeNaturalGradient(["tanh", "softmax"], damping=0.1), batch(rng)
        grads, rows, outputs = ([x[0], x[2]] for x in (grads, rows, outputs))
        method.precondition(grads, rows, outputs)
        kept = pickle.dumps(method.state_dict())

        with pytest.raises(ValueError, match=r"grads\[1\] of shape \(2, 6\) need moments \(12, 12\)"):
            method.precondition([grads[0], np.ones((2, 6))], [2 * x for x in rows], [outputs[0], np.full((12, 2), 0.5)])

        assert pickle.dumps(method.state_dict()) == kept

    @pytest.mark.parametrize("eta", [[0.5, 1.0], [-0.5, 1.5]])
    def test_impossible_probabilities_are_refused(self, eta):
        with pytest.raises(ValueError, match="probabilities must not be negative, and rows of them must have sum 1"):
            relative_fisher.softmax_information(np.zeros((1, 0)), np.array([eta]))
