"""The public functions on each backend, with NumPy arrays in and out, so that a test is written once.

On a device every call is made with copies of its arrays there; what it writes comes back into the NumPy arrays that
the test gave. The emulated ones run each small call under every schedule and landing of asynchronous copies, and all of
them must give the same bits. The checked one finds races in any order, at eight times the cost: it runs three of these
modes, so that each schedule and each landing is among them, and the next three in the next call.
"""

import dataclasses
import itertools

import numpy as np

import curvblas as cb
from curvblas import _cpu

SCHEDULES = ("forward", "reverse", "random")
LANDINGS = ("early", "late", "random")
MODES = list(itertools.product(SCHEDULES, LANDINGS))
SQUARES = [[(s, LANDINGS[(k + shift) % 3]) for k, s in enumerate(SCHEDULES)] for shift in range(3)]
GROUPS = {"factors", "rows", "inputs", "weights", "A", "G", "grads", "A_inv", "G_inv", "arrays", "out", "flat"}
GROUPS |= {"second_moments", "A_rows", "G_rows", "A_basis", "G_basis", "warm_start", "rhs", "matrices"}
GROUPS |= {"K", "C", "K_momentum", "C_momentum"}
GROUPS |= {"B", "D", "Z"}
GROUPS |= {"vectors", "basis", "values", "jacobian", "previous"}
GROUPS |= {"moments", "first_moments"}
GROUPS |= {"S", "Y", "grad", "v", "mask", "Psi", "M_inv"}
FUNCTIONS = {
    "update_factors": ("factors", "rows"),
    "update_conv_factors": ("factors", "inputs", "kernel_size"),
    "factored_damping": ("A", "G", "damping"),
    "factored_dampings": ("factors", "damping"),
    "damped_inverse": ("factors", "damping"),
    "eigenbasis": ("factors",),
    "precondition": ("grads", "A_inv", "G_inv"),
    "damped_cholesky": ("factors", "damping"),
    "triangular_solve": ("factors", "rhs"),
    "cholesky_solve": ("factors", "rhs"),
    "newton_schulz": ("matrices",),
    "precondition_with_inner": ("grads", "A_inv", "G_inv"),
    "precondition_eigen": ("grads", "A_basis", "G_basis", "damping"),
    "inverse_root": ("factors", "p", "damping"),
    "kron_sum_solve": ("A", "B", "C", "D", "Z"),
    "update_inverse_free": ("K", "C", "A", "G", "K_momentum", "C_momentum"),
    "all_finite": ("arrays",),
    "pack_symmetric": ("factors",),
    "unpack_symmetric": ("flat", "sizes"),
    "update_ekfac_moments": ("second_moments", "A_rows", "G_rows", "A_basis", "G_basis"),
    "update_lagged_factors": ("factors", "rows"),
    "update_unit_moments": ("moments", "rows", "weights"),
    "accumulate_quasi_diagonal": ("first_moments", "second_moments", "rows", "weights"),
    "solve_quasi_diagonal": ("first_moments", "second_moments", "grads", "damping"),
    "gram": ("rows",),
    "gram_products": ("rows", "vectors"),
    "low_rank_solve": ("basis", "values", "damping", "grads"),
    "lsr1_step": ("S", "Y", "grad", "radius"),
    "lsr1_matvec": ("S", "Y", "v"),
    "trust_region_step": ("Psi", "M_inv", "grad", "radius"),
    "lbfgs_direction": ("S", "Y", "grad"),
    "simple_natural_gradient": ("rows",),
    "sample_space_solve": ("jacobian", "rhs", "damping"),
    "layer_gram": ("A_rows", "G_rows"),
    "sample_space_solve_layers": ("A_rows", "G_rows", "rhs", "damping"),
}
IN_PLACE = {
    "update_factors": "factors",
    "update_conv_factors": "factors",
    "update_ekfac_moments": "second_moments",
    "update_lagged_factors": "factors",
    "update_unit_moments": "moments",
    "accumulate_quasi_diagonal": ("first_moments", "second_moments"),
    "update_inverse_free": ("K", "C", "K_momentum", "C_momentum"),
}
"""The argument that is updated in place and returned, or several of them."""
LARGEST_SMALL = 65  # matrices up to this size run under more than one mode; 1-D arrays, as long as their packed form


def _map(f, x):
    return type(x)(_map(f, item) for item in x) if isinstance(x, list | tuple) else f(x)


def _leaves(x):
    return list(x) if isinstance(x, list | tuple) else [x]


def _names(in_place):
    return [in_place] if isinstance(in_place, str) else in_place


def _main(result):
    """Return the name of the part that `out` receives: the first one."""
    return dataclasses.fields(result)[0].name


class Cpu:
    """One instruction-set level of the CPU."""

    def __init__(self, level):
        self.name = f"cpu-{level}"
        _cpu.set_isa(level)
        for function in FUNCTIONS:
            setattr(self, function, getattr(cb, function))


class Device:
    """A device, as its extension module: emulated or real."""

    def __init__(self, name, module):
        self.name, self._module = name, module
        self._next_mode, self._next_square = itertools.cycle(MODES), itertools.cycle(SQUARES)
        for function in FUNCTIONS:
            setattr(self, function, self._wrapped(function))

    def to_device(self, x):
        if dataclasses.is_dataclass(x):
            parts = {f.name: _map(self.to_device, getattr(x, f.name)) for f in dataclasses.fields(x)}
            return type(x)(**parts)
        return self._module.Array.to_device(x) if isinstance(x, np.ndarray) else x

    def to_host(self, x):
        return x.to_host() if isinstance(x, self._module.Array) else x

    def _wrapped(self, function):
        def call(*arguments, **options):
            named = {**dict(zip(FUNCTIONS[function], arguments, strict=False)), **options}
            first, *others = self._modes(named)
            copies = self._copies_issued()
            written, result = self._once(function, named, first)
            if self._copies_issued() == copies:  # none that could land otherwise
                others = {mode[0]: mode for mode in others if mode[0] != first[0]}.values()
            for mode in others:
                other_written, other = self._once(function, named, mode)
                assert _same(other, result), f"{function} depends on the schedule"
                assert _same(other_written, written), f"{function} depends on the schedule"
            return self._handed_back(function, named, written, result)

        return call

    def _modes(self, named):
        if not hasattr(self._module, "configure"):
            return [None]
        arrays = [x for name, value in named.items() if name in GROUPS for x in _leaves(value) if hasattr(x, "shape")]
        most = (LARGEST_SMALL, LARGEST_SMALL * (LARGEST_SMALL + 1) // 2)
        small = all(max(x.shape[-1:], default=0) <= most[x.ndim == 1] for x in arrays)
        small = small and sum(x.size for x in arrays) < 50_000
        if not small:
            return [next(self._next_mode)]
        return next(self._next_square) if self._module.checking else MODES

    def _copies_issued(self):
        return self._module.copies_issued() if hasattr(self._module, "copies_issued") else 0

    def _once(self, function, named, mode):
        if mode:
            self._module.configure(schedule=mode[0], landing=mode[1], seed=7)
        there = {name: _map(self.to_device, x) if name in GROUPS else x for name, x in named.items()}
        result = getattr(cb, function)(**there)
        in_place = IN_PLACE.get(function, ())
        if in_place and not named.get("copy", False):
            returned = (result,) if isinstance(in_place, str) else result
            assert all(x is there[name] for x, name in zip(returned, _names(in_place), strict=True))
        elif there.get("out") is not None:
            assert (getattr(result, _main(result)) if dataclasses.is_dataclass(result) else result) is there["out"]
        written = {name: _map(self.to_host, there[name]) for name in [*_names(in_place), "out"] if name in there}
        if dataclasses.is_dataclass(result):
            parts = {f.name: _map(self.to_host, getattr(result, f.name)) for f in dataclasses.fields(result)}
            return written, type(result)(**parts)
        return written, _map(self.to_host, result)

    def _handed_back(self, function, named, written, result):
        def into(given, copies):
            for to, copy in zip(_leaves(given), _leaves(copies), strict=True):
                if isinstance(to, np.ndarray) and to.flags.writeable:
                    to[...] = copy
            return given

        if function in IN_PLACE and not named.get("copy", False):
            updated = [into(named[name], written[name]) for name in _names(IN_PLACE[function])]
            return updated[0] if isinstance(IN_PLACE[function], str) else tuple(updated)
        if named.get("out") is None:
            return result
        out = into(named["out"], written["out"])
        return dataclasses.replace(result, **{_main(result): out}) if dataclasses.is_dataclass(result) else out


def _same(a, b):
    if dataclasses.is_dataclass(a):
        return all(_same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, dict):
        return all(_same(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, np.ndarray):
        return a.tobytes() == b.tobytes()
    return a == b
