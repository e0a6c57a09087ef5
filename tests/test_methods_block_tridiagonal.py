"""K-FAC whose neighbouring layers are correlated: oracles, failures, states."""

import numpy as np
import pytest

from curvblas import Status
from curvblas.methods.kfac import KFAC, BlockTridiagonalKFAC, Layer

import oracle
from kfac_layers import DAMPING, LAYERS, batch, factors_of, put
from oracle import methods_kfac


class TestBlockTridiagonal:
    CHAIN = (Layer(4, 5), Layer(3, 4), Layer(2, 3))

    def test_of_one_layer_is_plain_kfac(self, cpu, rng):
        V, a, g = batch(rng, self.CHAIN[:1])
        plain, method = KFAC(self.CHAIN[:1], damping=DAMPING), BlockTridiagonalKFAC(self.CHAIN[:1], damping=DAMPING)
        for each in (plain, method):
            each.update(a, g)

        assert oracle.relative_error(method.precondition(V)[0], plain.precondition(V)[0]) < 1e-12

    def test_with_damping_is_the_inverse_of_damped_blocks(self, cpu, rng):
        _, a, g = batch(rng, self.CHAIN)
        method = BlockTridiagonalKFAC(self.CHAIN, damping=DAMPING)

        method.update(a, g)
        inverse = methods_kfac.dense_inverse(method.precondition, [layer.shape for layer in self.CHAIN])

        F, end = np.linalg.inv(inverse), 0
        for layer, x, y in zip(self.CHAIN, a, g, strict=True):
            A, G = factors_of(layer, x, y)
            d_A, d_G = oracle.factored_damping(A, G, DAMPING)
            block = np.kron(G + d_G * np.eye(len(G)), A + d_A * np.eye(len(A)))
            begin, end = end, end + len(block)
            assert oracle.relative_error(F[begin:end, begin:end], block) < 1e-9
        assert method.status.tolist() == [Status.OK] * 3

    def test_reports_a_layer_that_is_not_finite(self, rng):
        V, a, g = batch(rng, self.CHAIN)
        g[2][0, 0] = np.nan
        method = BlockTridiagonalKFAC(self.CHAIN, damping=DAMPING)

        method.update(a, g)
        method.precondition(V)

        assert method.status[2] == Status.NOT_FINITE
        assert method.status[0] == Status.OK

    def test_goes_on_bit_by_bit(self, rng):
        method, other = BlockTridiagonalKFAC(self.CHAIN), BlockTridiagonalKFAC(self.CHAIN)
        method.update(*batch(rng, self.CHAIN)[1:])
        other.load_state_dict(method.state_dict())
        V, a, g = batch(rng, self.CHAIN)

        for each in (method, other):
            each.update(a, g)

        assert all(map(np.array_equal, method.precondition(V), other.precondition(V)))

    def test_begins_anew_where_nan_came_in(self, rng):
        V, a, g = batch(rng, self.CHAIN)
        method = BlockTridiagonalKFAC(self.CHAIN, damping=DAMPING)
        for _ in range(30):
            method.update(*batch(rng, self.CHAIN)[1:])
        spoiled = [x.copy() for x in a]
        spoiled[1][0, 0] = np.nan
        method.update(spoiled, g)

        method.update(a, g)
        found = method.precondition(V)

        assert method.status.tolist() == [Status.OK] * 3
        assert all(np.isfinite(u).all() for u in found)
        assert sum(np.vdot(u, v) for u, v in zip(found, V, strict=True)) > 0

    def test_without_rows_takes_no_step(self, rng):
        _, a, g = batch(rng, self.CHAIN)
        method = BlockTridiagonalKFAC(self.CHAIN)
        empty = [[x[:0] for x in group] for group in (a, g)]
        with pytest.raises(ValueError, match=r"update: inputs\[0\] must have rows at first, got shape \(0, 5\)"):
            method.update(*empty)
        method.update(a, g)
        before = method.state_dict()

        method.update(*empty)

        assert method.steps == 1
        assert all(map(np.array_equal, method.state_dict()["A_next"], before["A_next"]))

    @pytest.mark.parametrize("change", [{"steps": "3"}, {"A": 5}, {"steps": -1}])
    def test_refuses_states_with_entries_of_another_type(self, rng, change):
        method = BlockTridiagonalKFAC(self.CHAIN)
        method.update(*batch(rng, self.CHAIN)[1:])

        with pytest.raises(ValueError, match=rf"state\['{next(iter(change))}'\] must"):
            method.load_state_dict({**method.state_dict(), **change})

    def test_refuses_other_layers_devices_and_states(self, emulated, rng):
        V, a, g = batch(rng, self.CHAIN)
        method = BlockTridiagonalKFAC(self.CHAIN)
        with pytest.raises(ValueError, match=r'layers\[0\] must be a Layer with sharing="none", got Conv'):
            BlockTridiagonalKFAC([LAYERS[3]])
        with pytest.raises(ValueError, match="update must come before"):
            method.precondition(V)
        with pytest.raises(TypeError, match="inputs must be in the CPU's memory, got an array of curvblas"):
            method.update(put(emulated, a), put(emulated, g))
        with pytest.raises(ValueError, match=r"inputs\[1\] must have N = 6 rows like inputs\[0\], got 5"):
            method.update([a[0], a[1][:5], a[2]], [g[0], g[1][:5], g[2]])
        method.update(a, g)
        with pytest.raises(ValueError, match=r"state\['A'\] must have 2 arrays, got 3"):
            BlockTridiagonalKFAC(self.CHAIN[:2]).load_state_dict(method.state_dict())
