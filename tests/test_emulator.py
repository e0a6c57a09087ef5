"""The emulator: it finds what it must, names where, and leaves right kernels alone."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import emulation
from backends import LANDINGS, MODES, SCHEDULES

pytestmark = pytest.mark.emulated
SEEDED_BUGS = Path(__file__).parent / "emu" / "seeded_bugs.cu"

FINDINGS = {
    "missing_barrier_at_loop_end": "race on shared memory",
    "missing_row_bound": "out of bounds: read of 4 bytes of global memory, .* past the end of an allocation of 1024",
    "half_of_what_another_writes": "race on shared memory: (read of 4|write of 8) bytes",
    "byte_of_two_threads": "race on shared memory: write of 1 bytes",
    "last_copy_group_not_waited_for": "early use of an asynchronous copy",
    "barrier_in_divergent_code": "divergent barrier",
    "missing_barrier_after_panel_solve": "race on shared memory|read of unwritten memory",
    "read_of_unwritten_shared_memory": "read of unwritten memory",
    "local_array_overrun": "local array overrun: index 4",
    "race_between_blocks": "race between blocks on global memory",
    "shuffle_instead_of_syncwarp": "race on shared memory|read of unwritten memory",
    "shuffle_in_divergent_code": "divergent warp",
    "pointer_of_the_host": "access to memory of the host",
    "sum_without_atomics": "race on shared memory",
    "copy_never_waited_for": "asynchronous copy never waited for",
    "copy_to_nowhere": "asynchronous copy that does not go from global to shared memory",
    "copy_from_shared_memory": "asynchronous copy that does not go from global to shared memory",
    "deadlock_of_half_warps": "deadlock: no thread can go on",
}


@pytest.fixture(params=["_test_kernels", "_test_kernels_checked"])
def test_kernels(request):
    return emulation.load(request.param)


@pytest.fixture
def checked():
    return emulation.load("_test_kernels_checked")


def marked_line(name):
    """Return the number of the line of a seeded bug that is marked as found."""
    inside = False
    for number, line in enumerate(SEEDED_BUGS.read_text().splitlines(), start=1):
        if "__global__ void" in line:
            inside = f" {name}(" in line
        if inside and line.endswith("// FOUND"):
            return number
    raise AssertionError(name)


def test_every_seeded_bug_has_a_finding(checked):
    assert sorted(checked.names()) == sorted(FINDINGS)


@pytest.mark.parametrize("name", FINDINGS)
@pytest.mark.parametrize(("schedule", "landing"), MODES)
def test_a_seeded_bug_is_found_by_name_and_line(checked, name, schedule, landing):
    checked.configure(schedule=schedule, landing=landing, seed=1)

    with pytest.raises(checked.Finding) as finding:
        checked.run(name, fixed=False)

    text = str(finding.value)
    assert re.match(FINDINGS[name], text)
    assert f"seeded_bugs.cu:{marked_line(name)}" in text
    assert re.search(rf"in kernel {name}<false>, run by thread \(\d+,0,0\) of block \([01],0,0\)", text)


@pytest.mark.parametrize("name", FINDINGS)
@pytest.mark.parametrize(("schedule", "landing"), MODES)
def test_its_fixed_twin_is_clean(test_kernels, name, schedule, landing):
    test_kernels.configure(schedule="forward", landing="early")
    expected = test_kernels.run(name, fixed=True)

    test_kernels.configure(schedule=schedule, landing=landing, seed=1)

    assert test_kernels.run(name, fixed=True) == expected


def test_the_emulator_goes_on_after_a_finding(checked):
    for _ in range(3):
        with pytest.raises(checked.Finding):
            checked.run("barrier_in_divergent_code", fixed=False)
        checked.run("barrier_in_divergent_code", fixed=True)


def test_schedules_and_landings_change_what_a_wrong_kernel_gives():
    plain = emulation.load("_test_kernels")
    results = {"missing_barrier_at_loop_end": set(), "last_copy_group_not_waited_for": set()}

    for name, (schedule, landing) in itertools.product(results, MODES):
        plain.configure(schedule=schedule, landing=landing, seed=1)
        results[name].add(np.array(plain.run(name, fixed=False)).tobytes())

    assert all(len(different) > 1 for different in results.values())


@pytest.mark.parametrize("word", ["schedule", "landing"])
def test_unknown_modes_are_refused(checked, word):
    with pytest.raises(ValueError, match=f'{word} must be .*, got "sideways"'):
        checked.configure(**{"schedule": SCHEDULES[0], "landing": LANDINGS[0], word: "sideways"})


@pytest.mark.parametrize(
    ("call", "file"),
    [
        (lambda m, C: m.update_factors(C, C, 0.5, None, None, False, True), "tile.cuh"),
        (lambda m, C: m.precondition(C, C, C, None), "tile.cuh"),
        (lambda m, C: m.damped_inverse(C, 0.1, None, "jitter", None), "blocked.cuh"),
    ],
    ids=["update_factors", "precondition", "damped_inverse"],
)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_real_kernel_without_one_of_its_barriers_is_found(call, file, schedule):
    broken, sound = emulation.load("_emu_broken"), emulation.load("_emu_checked")
    C = np.eye(70) + 0.01

    for module in (broken, sound):
        module.configure(schedule=schedule, landing="late", seed=1)
    call(sound, sound.Array.to_device(C))
    with pytest.raises(broken.Finding, match=rf"(?s)(race on shared|early use).*{file}:\d+ in "):
        call(broken, broken.Array.to_device(C))


def test_host_code_that_follows_a_device_pointer_faults():
    code = f"""
import ctypes, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import numpy as np, curvblas, emulation
emu = emulation.load("_emu")
array = emu.Array.to_device(np.ones(4))
pointer = array.__cuda_array_interface__["data"][0]
print(array.to_host().sum(), flush=True)
ctypes.c_double.from_address(pointer).value
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (result.stdout.strip(), result.returncode) == ("4.0", -11)


def test_arrays_keep_their_layout_on_the_way(emulated, rng):
    x = rng.standard_normal((6, 8, 4))[::-2, 1::3].swapaxes(0, 2)

    back = emulated.to_host(emulated.to_device(x))

    assert np.array_equal(back, x)
    assert back.strides == x.strides


def test_counters_tell_whole_sectors_from_half_ones():
    module = emulation.load("_emu_checked")
    module.configure(schedule="forward", landing="early")
    C, rows = np.zeros((64, 64), np.float32), np.ones((16, 64), np.float32)

    def counts(layout):
        there = [module.Array.to_device(x) for x in (C, layout(rows))]
        module.count(True)
        module.update_factors(*there, 0.5, None, None, False, False)
        module.count(False)
        return module.take_counts()

    def sectors_a_request(counted):
        staged = [c for c in counted if c[1] == "global" and re.match(r"tile.cuh:\d+ in stage", c[0])]
        return sum(c[3] for c in staged) / sum(c[2] for c in staged)

    contiguous, scattered = counts(lambda x: x), counts(lambda x: np.repeat(x, 2, axis=1)[:, ::2])

    assert sectors_a_request(contiguous) == 16  # 32 lanes times 16 bytes, every byte of a sector
    assert sectors_a_request(scattered) == 8  # 32 lanes times 4 bytes, half of every sector
    assert all(c[2] <= c[3] for c in contiguous if c[1] == "shared")


@pytest.mark.parametrize(("kind", "rows", "depth"), [("f64", 8, 4), ("tf32", 16, 8), ("f16", 16, 16), ("bf16", 16, 16)])
def test_tensor_core_products_are_products(test_kernels, rng, kind, rows, depth):
    a, b = rng.integers(-8, 9, (rows, depth)) / 4.0, rng.integers(-8, 9, (depth, 8)) / 4.0
    c = rng.integers(-8, 9, (rows, 8)) / 4.0

    product = np.reshape(test_kernels.multiply(kind, a.ravel(), b.ravel(), c.ravel()), (rows, 8))

    assert np.array_equal(product, c + a @ b)


def test_tf32_keeps_ten_bits_of_the_mantissa(test_kernels):
    a, b, c = np.zeros((16, 8)), np.zeros((8, 8)), np.zeros((16, 8))
    a[0, 0], b[0, 0] = 1 + 2.0**-10 + 2.0**-12, 1.0

    product = test_kernels.multiply("tf32", a.ravel(), b.ravel(), c.ravel())

    assert product[0] == 1 + 2.0**-10
