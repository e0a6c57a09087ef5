"""K-FAC: identities, all kinds of layers on all backends, schedules, failures, states and arguments."""

import ml_dtypes
import numpy as np
import pytest

import curvblas as cb
from curvblas import Status
from curvblas.methods import _refresh, exact
from curvblas.methods.kfac import KFAC, Layer

import oracle
from identities import kfac as identities
from kfac_layers import DAMPING, LAYERS, RECURRENT, T, batch, factors_of, fetched, put
from oracle import methods_kfac


def expected_step(layer, a, g, V, method="factored"):
    A, G = factors_of(layer, a, g)
    if method == "factored":
        return methods_kfac.factored_step(A, G, DAMPING, V)
    return oracle.precondition_eigen(V, A, G, DAMPING)


@pytest.mark.parametrize(("identity", "bound"), identities.IDENTITIES, ids=lambda x: getattr(x, "__name__", ""))
def test_identity_holds(identity, bound):
    assert identity() <= bound


@pytest.mark.parametrize("method", ["factored", "eigen"])
def test_damping_breaks_affine_invariance(method):
    assert identities.affine_maps(damping=0.01, method=method) > 1e-3


class TestStep:
    @pytest.mark.parametrize("method", ["factored", "eigen"])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_of_all_kinds_of_layers_is_that_of_the_oracle(self, backend, rng, method, dtype):
        V, a, g = batch(rng, LAYERS, dtype)
        kfac = KFAC(LAYERS, damping=DAMPING, method=method)

        kfac.update(put(backend, a), put(backend, g))
        found = fetched(backend, kfac.precondition(put(backend, V)))

        assert kfac.status.tolist() == [Status.OK] * len(LAYERS)
        for layer, u, *rows in zip(LAYERS, found, a, g, V, strict=True):
            assert u.dtype == dtype
            expected = expected_step(layer, *rows, method)
            assert oracle.relative_error(u, expected) < oracle.tolerance(dtype, 1e4)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
    def test_of_pooled_positions_is_that_of_the_oracle(self, cpu, rng, dtype):
        layer = Layer(3, 4, sharing="reduce")
        _, a, g = batch(rng, [layer], dtype)
        kept = np.float64 if dtype is np.float64 else np.float32
        V = [rng.standard_normal(layer.shape).astype(kept)]
        kfac = KFAC([layer], damping=DAMPING)

        kfac.update(a, g)

        found, expected = kfac.precondition(V)[0], expected_step(layer, a[0], g[0], V[0])
        assert oracle.relative_error(found, expected) < oracle.tolerance(kept, 1e3)

    @pytest.mark.parametrize("method", ["factored", "ekfac"])
    def test_of_recurrent_layers_among_others_is_that_of_the_oracle(self, backend, rng, method):
        layers = [LAYERS[0], RECURRENT]
        V, a, g = batch(rng, layers)
        kfac = KFAC(layers, damping=DAMPING, method=method)

        kfac.update(put(backend, a), put(backend, g))
        found = fetched(backend, kfac.precondition(put(backend, V)))

        rows = methods_kfac.with_ones(a[1]), g[1]
        lags = [
            oracle.update_lagged_factors(np.zeros((x.shape[-1],) * 2), x, lag=k, symmetric=True, decay=0.0)
            for x in rows
            for k in (0, 1)
        ]
        d_A, d_G = oracle.factored_damping(lags[0], lags[2], DAMPING / T)
        A0, G0 = lags[0] + d_A * np.eye(5), lags[2] + d_G * np.eye(3)
        assert (
            oracle.relative_error(found[1], oracle.recurrent_step_symmetric(V[1], A0, lags[1], G0, lags[3], T)) < 1e-11
        )

    def test_of_ekfac_divides_by_the_moments_of_gradients_of_cases(self, backend, rng):
        layers = LAYERS[:3]
        V, a, g = batch(rng, layers)
        method = KFAC(layers, damping=DAMPING, method="ekfac", decay=0.5)

        method.update(put(backend, a), put(backend, g))

        found = fetched(backend, method.precondition(put(backend, V)))
        for layer, u, v, x, y in zip(layers, found, V, a, g, strict=True):
            A, G = factors_of(layer, x, y)
            (s_A, Q_A), (s_G, Q_G) = oracle.eigenbasis(A), oracle.eigenbasis(G)
            S = oracle.update_ekfac_moments(np.outer(s_G, s_A), x, y, Q_A, Q_G, decay=0.5, bias=layer.bias)
            assert oracle.relative_error(u, oracle.precondition_eigen(v, Q_A, Q_G, DAMPING, S)) < 1e-11

    @pytest.mark.parametrize("layer", [LAYERS[3], LAYERS[4]], ids=["2-D", "1-D"])
    def test_of_ekfac_forms_the_patches_of_convolutions(self, cpu, rng, layer):
        _, a, g = batch(rng, [layer])
        method = KFAC([layer], damping=DAMPING, method="ekfac", decay=0.0)

        method.update(a, g)

        ((Q_A, Q_G),), (S,) = method.bases, method.moments
        sizes = {name: getattr(layer, name) for name in ("stride", "padding", "dilation")}
        rows = oracle.patches(a[0], layer.kernel_size, **sizes), g[0].reshape(*g[0].shape[:2], -1).swapaxes(1, 2)
        expected = oracle.update_ekfac_moments(np.zeros(S.shape), *rows, Q_A, Q_G, decay=0.0, bias=layer.bias)
        assert oracle.relative_error(S, expected) < 1e-12

    def test_is_to_be_added_and_scaled_by_rate_and_clip(self, rng):
        V, a, g = batch(rng, LAYERS)
        plain, other = KFAC(LAYERS), KFAC(LAYERS)

        step = plain.step(V, a, g, rate=0.3, clip=1e-3)
        other.update(a, g)
        directions = other.precondition(V)

        nu = exact.kl_clip(sum(float((x * u).sum()) for x, u in zip(V, directions, strict=True)), 0.3, 1e-3)
        assert nu < 1
        assert all(np.allclose(d, -0.3 * nu * u, rtol=1e-14) for d, u in zip(step, directions, strict=True))

    def test_is_clipped_where_the_inner_product_overflows_float32(self):
        method, row = KFAC([Layer(1, 1, bias=False)], damping=1.0), np.ones((4, 1), "f")

        (step,) = method.step([np.full((1, 1), 1e20, "f")], [row], [row], clip=1e-3)

        # u = 1e20 / 4, as factored damping of 1 adds 1 to A and to G
        assert np.isclose(step[0, 0], -np.sqrt(1e-3 / (1e20 * 0.25e20)) * 0.25e20, rtol=1e-6)

    def test_without_rows_takes_no_step(self, cpu, rng):
        V, a, g = batch(rng, LAYERS)
        method = KFAC(LAYERS, method="ekfac", decay=0.5)
        with pytest.raises(ValueError, match=r"KFAC.update: inputs\[0\] must have rows at first, got shape \(0, 4\)"):
            method.update([x[:0] for x in a], [x[:0] for x in g])
        method.update(a, g)
        before, expected = method.state_dict(), method.precondition(V)

        found = method.step(V, [x[:0] for x in a], [x[:0] for x in g])

        assert method.steps == 1
        assert all(map(np.array_equal, method.state_dict()["A"], before["A"]))
        assert all(map(np.array_equal, found, [-u for u in expected]))

    def test_of_one_layer_without_rows_leaves_it_alone(self, cpu, rng):
        _, a, g = batch(rng, LAYERS[:2])
        method = KFAC(LAYERS[:2], method="ekfac", decay=0.5)
        method.update(a, g)
        before, moments = method.factors, method.moments
        method.first = 1

        method.update([a[0][:0], 2 * a[1]], [g[0][:0], g[1]])

        assert np.array_equal(method.factors["A"][0], before["A"][0])
        assert np.array_equal(method.moments[0], moments[0])
        assert not np.array_equal(method.factors["A"][1], before["A"][1])

    def test_refuses_tensors_that_require_gradients(self):
        torch = pytest.importorskip("torch")
        a = torch.ones(4, 3, requires_grad=True)

        with pytest.raises(TypeError, match=r"KFAC.update: inputs\[0\] must not require .* pass inputs\[0\].detach"):
            KFAC([Layer(2, 3)]).update([a], [torch.ones(4, 2)])

    def test_of_other_libraries_comes_back_in_theirs(self, rng):
        torch = pytest.importorskip("torch")
        V, a, g = batch(rng, LAYERS, np.float32)
        plain, other = KFAC(LAYERS, method="ekfac"), KFAC(LAYERS, method="ekfac")

        expected = plain.step(V, a, g, clip=1e-3)
        found = other.step(*([torch.from_numpy(x) for x in group] for group in (V, a, g)), clip=1e-3)

        assert all(isinstance(u, torch.Tensor) for u in found)
        assert all(np.allclose(u.numpy(), e, rtol=1e-5) for u, e in zip(found, expected, strict=True))

    def test_of_no_layers_and_of_zero_gradients_is_zero(self, rng):
        V, a, g = batch(rng, LAYERS)

        assert KFAC([]).step([], [], []) == []
        assert not any(np.any(u) for u in KFAC(LAYERS).step([np.zeros_like(v) for v in V], a, g, clip=1e-3))

    def test_of_a_dead_layer_is_finite(self, backend, rng):
        V, a, g = batch(rng, LAYERS[:2])
        method = KFAC(LAYERS[:2], damping=DAMPING)

        method.update(put(backend, a), put(backend, [g[0], 0 * g[1]]))

        assert all(np.isfinite(u).all() for u in fetched(backend, method.precondition(put(backend, V))))
        assert method.status.tolist() == [Status.OK] * 2


class TestSchedule:
    def test_factors_are_running_means_and_then_decay(self, rng):
        batches = [batch(rng, LAYERS) for _ in range(4)]
        method = KFAC(LAYERS, decay=0.6)

        for _, a, g in batches:
            method.update(a, g)

        for k, layer in enumerate(LAYERS):
            A = np.zeros((layer.shape[1],) * 2)
            for decay, (_, a, g) in zip((0, 0.5, 0.6, 0.6), batches, strict=True):
                A = decay * A + (1 - decay) * factors_of(layer, a[k], g[k])[0]
            assert np.allclose(method.factors["A"][k], A, rtol=1e-12)

    @pytest.mark.parametrize("name", ["factored", "eigen", "ekfac"])
    def test_refreshes_first_and_then_each_period(self, rng, name):
        V, *_ = batch(rng, LAYERS)
        method = KFAC(LAYERS, method=name, period=4, first=2, decay=0.9)
        changed = []

        before = None
        for _ in range(9):
            method.update(*batch(rng, LAYERS)[1:])
            now = [x.copy() for x in method.state_dict()["solvers"][:2]]
            changed.append(before is None or not np.array_equal(now[0], before[0]))
            before = now

        assert [k + 1 for k, each in enumerate(changed) if each] == [1, 2, 4, 8]
        assert len(method.precondition(V)) == len(LAYERS)

    def test_eigenbases_start_from_the_last_ones(self, rng, monkeypatch):
        given, eigenbasis = [], cb.eigenbasis

        def watched(factors, *, warm_start):
            given.append(warm_start)
            return eigenbasis(factors, warm_start=warm_start)

        monkeypatch.setattr(_refresh, "eigenbasis", watched)
        method = KFAC(LAYERS, method="eigen")
        method.update(*batch(rng, LAYERS)[1:])
        bases = method.bases

        method.update(*batch(rng, LAYERS)[1:])

        assert given[0] is None
        assert all(map(np.array_equal, given[1], [pair[side] for side in (0, 1) for pair in bases]))

    def test_damping_may_change_without_a_refresh_in_eigenbases(self, rng):
        V, a, g = batch(rng, LAYERS)
        method = KFAC(LAYERS, damping=10.0, method="eigen")
        method.update(a, g)

        method.damping = DAMPING

        expected = [expected_step(*each, "eigen") for each in zip(LAYERS, a, g, V, strict=True)]
        assert all(np.allclose(u, e) for u, e in zip(method.precondition(V), expected, strict=True))

    def test_between_refreshes_shows_in_ekfac_up_to_the_next_good_one(self, rng):
        V, a, g = batch(rng, LAYERS)
        method = KFAC(LAYERS, method="ekfac", period=3, first=1)
        finite = []

        for k in range(6):
            method.update([x * np.nan for x in a] if k == 1 else a, g)
            finite.append((int(method.status[0]), bool(np.isfinite(method.precondition(V)[0]).all())))

        bad = (Status.NOT_FINITE, False)
        assert finite == [(0, True), (0, False), bad, bad, bad, (0, True)]

    @pytest.mark.parametrize("name", ["factored", "eigen", "ekfac"])
    def test_ends_with_rows_that_are_finite(self, rng, name):
        V, a, g = batch(rng, LAYERS)
        method, new = (KFAC(LAYERS, damping=DAMPING, method=name, first=9) for _ in range(2))
        method.update([x * np.nan for x in a], g)

        first = method.precondition(V)
        method.update(a, g)
        new.update(a, g)

        assert all(np.isnan(u).all() for u in first)
        assert method.status.tolist() == [Status.OK] * len(LAYERS)
        assert all(np.array_equal(u, e) for u, e in zip(method.precondition(V), new.precondition(V), strict=True))

    def test_of_one_layer_does_not_stop_the_clipped_step_of_others(self, rng):
        V, a, g = batch(rng, LAYERS)
        V[1][0, 0] = np.nan

        step = KFAC(LAYERS).step(V, a, g, clip=1e-3)

        rest = [0, 2, 3, 4]
        others = [[group[k] for k in rest] for group in (V, a, g)]
        expected = KFAC([LAYERS[k] for k in rest]).step(*others, clip=1e-3)
        assert np.isnan(step[1]).any()
        assert all(np.allclose(step[k], d, rtol=1e-12) for k, d in zip(rest, expected, strict=True))


def test_results_are_the_same_for_any_number_of_threads(rng):
    layers = [Layer(int(q), int(p)) for q, p in rng.integers(1, 60, (40, 2))]
    seen = [batch(rng, layers, np.float32) for _ in range(2)]
    found = []

    for threads in (1, 3):
        cb.set_num_threads(threads)
        method = KFAC(layers, method="ekfac")
        found.append([u for each in seen for u in method.step(*each, clip=1e-3)])

    assert all(map(np.array_equal, *found))
