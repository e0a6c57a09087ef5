"""PRONG: identities, convolutions, dead units, failures, states and arguments."""

import pickle

import numpy as np
import pytest

import curvblas as cb
from curvblas import Status
from curvblas.methods.prong import PRONG, Conv, Layer

import oracle
from identities import prong as identities

LAYERS = [Layer(4, 6), Layer(3, 4, bias=False), Conv(5, 3, (2, 3), stride=(1, 2), dilation=2), Layer(2, 5)]


def samples(rng, dtype=np.float64):
    """Inputs, outputs and gradients of all layers."""
    shapes = [((30, 6), (30, 4)), ((8, 5, 4), (8, 5, 3)), ((7, 3, 8, 9), (7, 5, 6, 3)), ((20, 5), (20, 2))]
    inputs, outputs = ([1 + 2 * rng.standard_normal(pair[side]) for pair in shapes] for side in (0, 1))
    grads = [rng.standard_normal(layer.shape) for layer in LAYERS]
    return tuple([x.astype(dtype) for x in group] for group in (inputs, outputs, grads))


def outputs_of(layer, W, x):
    """What a layer makes of inputs, without padding."""
    if isinstance(layer, Conv):
        x = oracle.patches(x, layer.kernel_size, stride=layer.stride, dilation=layer.dilation)
    return x @ W[:, :-1].T + W[:, -1] if layer.bias else x @ W.T


@pytest.mark.parametrize(("identity", "bound"), identities.IDENTITIES, ids=lambda x: getattr(x, "__name__", ""))
def test_identity_holds(identity, bound):
    assert identity() <= bound


@pytest.mark.parametrize("plus", [False, True])
def test_the_function_of_every_kind_of_layer_is_preserved(cpu, rng, plus):
    inputs, outputs, W = samples(rng)
    method = PRONG(LAYERS)

    method.reparametrise(inputs, outputs if plus else None)

    scales = method.state_dict()["scales"]
    assert all(np.ptp(r) > 0 for r in scales) == plus
    for k, layer in enumerate(LAYERS):
        found = scales[k] * outputs_of(layer, method.trained(W)[k], method.whiten(inputs)[k])
        assert oracle.relative_error(found, outputs_of(layer, W[k], inputs[k])) < 1e-12
    assert all(np.allclose(x, w, rtol=1e-12) for x, w in zip(method.canonical(method.trained(W)), W, strict=True))


def test_channels_of_images_become_white(cpu, rng):
    inputs, *_ = samples(rng)
    inputs[2] = np.einsum("cd,ndij->ncij", rng.standard_normal((3, 3)), inputs[2])
    method = PRONG(LAYERS, damping=1e-9)

    method.reparametrise(inputs)

    white = np.moveaxis(method.whiten(inputs)[2], 1, 0).reshape(3, -1)
    assert np.allclose(white.mean(axis=1), 0, atol=1e-12)
    assert np.allclose(white @ white.T / white.shape[1], np.eye(3), atol=1e-6)


def test_the_fisher_matrix_of_a_linear_layer_becomes_that_of_its_outputs(rng):
    x, g = rng.standard_normal((400, 6)) @ rng.standard_normal((6, 6)), rng.standard_normal(4)
    method = PRONG(LAYERS[:1], damping=1e-12)

    method.reparametrise([x])

    white = np.append(method.whiten([x])[0], np.ones((400, 1)), axis=1)
    F = np.kron(np.outer(g, g), white.T @ white / 400)  # derivatives of a linear network are those of every case
    assert np.allclose(F, np.kron(np.outer(g, g), np.eye(7)), atol=1e-8)


def test_dead_units_get_steps_that_are_finite_and_bounded(rng):
    inputs, _, V = samples(rng)
    inputs[0][:, 2] = 0.7
    inputs[3][:] = 0.0
    method = PRONG(LAYERS, damping=0.01)

    method.reparametrise(inputs)

    step = method.step(V, rate=1.0)
    variance = inputs[0].var(axis=0).mean()
    assert np.allclose(step[0][:, 2], -(V[0][:, 2] - 0.7 * V[0][:, -1]) / (0.01 * variance))
    assert np.isfinite(step[3]).all()
    assert method.status.tolist() == [Status.OK] * 4


@pytest.mark.parametrize("where", ["inputs", "outputs"])
def test_a_layer_with_nan_keeps_its_coordinates_and_reports_it(rng, where):
    inputs, outputs, V = samples(rng)
    plain, method = PRONG(LAYERS), PRONG(LAYERS)
    for each in (plain, method):
        each.reparametrise(inputs, outputs)
    before = method.step(V, rate=1.0)
    spoiled = {"inputs": inputs, "outputs": outputs}
    spoiled[where] = [x.copy() for x in spoiled[where]]
    spoiled[where][1][0, 0, 0] = np.nan

    plain.reparametrise([3 * x for x in inputs], [3 * x for x in outputs])
    method.reparametrise(*([3 * x for x in group] for group in spoiled.values()))

    found, expected = method.step(V, rate=1.0), plain.step(V, rate=1.0)
    assert method.status.tolist() == [Status.OK, Status.NOT_FINITE, Status.OK, Status.OK]
    assert np.array_equal(found[1], before[1])
    assert all(np.array_equal(found[k], expected[k]) for k in (0, 2, 3))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_gradient_that_is_not_finite_costs_its_layer_one_step(rng, momentum):
    inputs, _, V = samples(rng)
    method, other = PRONG(LAYERS, momentum=momentum), PRONG(LAYERS, momentum=momentum)
    for each in (method, other):
        each.reparametrise(inputs)
        each.step(V, rate=0.1)
    bad = [v.copy() for v in V]
    bad[1][0, 2] = np.nan

    spoiled = method.step(bad, rate=0.1)

    assert method.status.tolist() == [Status.OK, Status.NOT_FINITE, Status.OK, Status.OK]
    assert [bool(np.isnan(x).all()) for x in spoiled] == [False, True, False, False]
    found, expected = method.step(V, rate=0.1), other.step(V, rate=0.1)
    assert method.status.tolist() == [Status.OK] * 4
    assert np.array_equal(found[1], expected[1])


def test_a_step_that_its_dtype_does_not_hold_is_reported():
    method = PRONG([Layer(1, 1), Layer(1, 1)])

    first, second = method.step([np.full((1, 2), 1e38, "f"), np.ones((1, 2), "f")], rate=100.0)

    assert np.isnan(first).all()
    assert np.isfinite(second).all()
    assert method.status.tolist() == [Status.NOT_FINITE, Status.OK]


@pytest.mark.parametrize("name", ["U", "U_inv", "means", "scales", "velocity"])
def test_states_that_are_not_finite_are_refused(name):
    method = PRONG(LAYERS)
    state = method.state_dict()
    state[name][2].flat[0] = np.nan

    with pytest.raises(ValueError, match=rf"PRONG: state\['{name}'\] must be finite, got NaN or Inf"):
        method.load_state_dict(state)


@pytest.mark.parametrize("change", [{"U": 5}, {"status": "abcd"}, {"status": [0, 0, 0, 99]}, {"status": [0.5] * 4}])
def test_states_with_entries_of_another_type_are_refused(change):
    method = PRONG(LAYERS)

    with pytest.raises(ValueError, match=rf"PRONG: state\['{next(iter(change))}'\] must"):
        method.load_state_dict({**method.state_dict(), **change})


def test_before_the_first_samples_it_is_gradient_descent(rng):
    *_, V = samples(rng)
    method = PRONG(LAYERS, momentum=0.5)

    first, second = (method.step(V, rate=0.1) for _ in range(2))

    assert all(np.allclose(d, -0.1 * v) for d, v in zip(first, V, strict=True))
    assert all(np.allclose(d, -0.15 * v) for d, v in zip(second, V, strict=True))


def test_steps_come_back_in_the_dtype_and_library_of_the_gradients(rng):
    torch = pytest.importorskip("torch")
    inputs, outputs, V = samples(rng, np.float32)
    method = PRONG(LAYERS)
    method.reparametrise(*([torch.from_numpy(x) for x in group] for group in (inputs, outputs)))

    found, expected = method.step([torch.from_numpy(v) for v in V], rate=0.1), method.step(V, rate=0.1)

    assert all(isinstance(d, torch.Tensor) and d.dtype == torch.float32 for d in found)
    assert all(np.array_equal(d.numpy(), e) and e.dtype == np.float32 for d, e in zip(found, expected, strict=True))


def test_whole_numbers_are_whitened_to_fractions(rng):
    pixels = rng.integers(0, 17, (50, 6))
    whole, real = PRONG(LAYERS[:1]), PRONG(LAYERS[:1])
    whole.reparametrise([pixels])
    real.reparametrise([pixels.astype(float)])

    assert np.array_equal(whole.whiten([pixels])[0], real.whiten([pixels.astype(float)])[0])


def test_no_layers_are_no_work():
    method = PRONG([])
    method.reparametrise([])

    assert method.step([], rate=0.1) == []


@pytest.mark.parametrize("copied", ["state", "pickle"])
def test_a_copy_goes_on_bit_by_bit(rng, copied):
    inputs, outputs, V = samples(rng)
    method = PRONG(LAYERS, momentum=0.9)
    method.reparametrise(inputs, outputs)
    method.step(V, rate=0.1)
    if copied == "pickle":
        other = pickle.loads(pickle.dumps(method))
    else:
        other = PRONG(LAYERS, momentum=0.9)
        other.load_state_dict(method.state_dict())

    for array in method.state_dict()["velocity"]:
        array[:] = -1

    assert all(map(np.array_equal, method.step(V, rate=0.1), other.step(V, rate=0.1)))


def test_results_are_the_same_for_any_number_of_threads(rng):
    inputs, outputs, V = samples(rng)
    found = []
    for threads in (1, 3):
        cb.set_num_threads(threads)
        method = PRONG(LAYERS)
        method.reparametrise(inputs, outputs)
        found.append(method.step(V, rate=0.1))

    assert all(map(np.array_equal, *found))


class TestWrongCalls:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"damping": 0.0}, ValueError, "damping must be a finite number > 0, got 0.0"),
            ({"momentum": 1}, ValueError, r"momentum must be a number in \[0, 1\), got 1"),
            ({"layers": "W"}, TypeError, r"layers\[0\] must be a Layer or a Conv, got str"),
        ],
    )
    def test_of_the_object(self, options, error, message):
        with pytest.raises(error, match=message):
            PRONG(**{"layers": LAYERS, **options})

    @pytest.mark.parametrize(
        ("k", "wrong", "message"),
        [
            (0, np.ones((3, 5)), r"inputs\[0\] must have shape \(N, 6\) or \(N, T, 6\) with N > 0, got \(3, 5\)"),
            (0, np.ones((0, 6)), r"inputs\[0\] must have shape \(N, 6\) or \(N, T, 6\) with N > 0, got \(0, 6\)"),
            (2, np.ones((3, 3, 5)), r"inputs\[2\] must have shape \(N, 3, \*size\) with N > 0, got \(3, 3, 5\)"),
        ],
    )
    def test_of_samples_change_nothing(self, rng, k, wrong, message):
        inputs, outputs, V = samples(rng)
        method = PRONG(LAYERS)
        method.reparametrise(inputs, outputs)
        before = method.step(V, rate=1.0)

        with pytest.raises(ValueError, match=message):
            method.reparametrise([wrong if i == k else x for i, x in enumerate(inputs)])

        assert all(map(np.array_equal, method.step(V, rate=1.0), before))

    def test_of_steps_and_states(self, rng):
        *_, V = samples(rng)
        method = PRONG(LAYERS)
        with pytest.raises(ValueError, match=r"grads\[0\] must have shape \(4, 7\), got \(2, 6\)"):
            method.step(V[::-1], rate=0.1)
        with pytest.raises(ValueError, match="rate must be a finite number > 0, got 0"):
            method.step(V, rate=0)
        with pytest.raises(ValueError, match=r"weights must be a list of 4 arrays, got 1"):
            method.trained(V[:1])
        with pytest.raises(ValueError, match=r"state\['U'\] must have 1 arrays, got 4"):
            PRONG(LAYERS[:1]).load_state_dict(method.state_dict())

    def test_of_arrays_on_a_device(self, emulated, rng):
        inputs, _, V = ([emulated.to_device(x) for x in group] for group in samples(rng))
        method = PRONG(LAYERS)
        with pytest.raises(TypeError, match=r"inputs\[0\] must be in the CPU's memory, got an array of curvblas"):
            method.reparametrise(inputs)
        with pytest.raises(TypeError, match="grads must be in the CPU's memory, got an array of curvblas"):
            method.step(V, rate=0.1)
