"""What holds for every kernel: one test per clause of the contract, over all rows of `cases`."""

import copy
import re
import threading
import time

import numpy as np
import pytest

import curvblas as cb

import oracle
from cases import CASES

SIZES = [1, 2, 7, 31, 32, 33, 65, 257]
DTYPES = [np.float32, np.float64]
all_cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
all_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def sizes_for(on, case):
    """Return SIZES, or what of them an emulated device can do in seconds."""
    sizes = case.sizes or SIZES
    return sizes if on.name.startswith("cpu") else case.emulated_sizes or sizes


def few_sizes_for(on, case):
    """Return fewer of them for a device that is emulated, where the claim has no sizes of its own."""
    sizes = sizes_for(on, case)
    if on.name.startswith("cpu"):
        return sizes
    return sorted({sizes[0], sizes[-1]}) if case.emulated_sizes else [1, 33, 130]


def flat(result):
    return [np.array(x) for x in result]


def run(on, case, arguments):
    return flat(case.call(on, **copy.deepcopy(arguments)))


@all_cases
@all_dtypes
def test_agrees_with_the_oracle(backend, rng, case, dtype):
    arguments = case.make(rng, sizes_for(backend, case), dtype)

    results = run(backend, case, arguments)

    for k, result in enumerate(results):
        expected = case.oracle(**{name: values[k] for name, values in arguments.items()})
        assert oracle.relative_error(result, expected) < oracle.tolerance(dtype, condition=10)


@all_cases
@all_dtypes
def test_has_the_same_bits_for_any_number_of_threads(cpu, rng, case, dtype):
    arguments = case.make(rng, [1, 64, 200, 400, 33, 600], dtype)
    results = {}

    for threads in (1, 2, 3, 7):
        cb.set_num_threads(threads)
        results[threads] = run(cpu, case, arguments)

    for threads in (2, 3, 7):
        assert all(np.array_equal(a, b) for a, b in zip(results[1], results[threads], strict=True))


@all_cases
@all_dtypes
def test_has_the_same_bits_twice_and_alone(backend, rng, case, dtype):
    arguments = case.make(rng, few_sizes_for(backend, case), dtype)

    group, again = run(backend, case, arguments), run(backend, case, arguments)

    for k, result in enumerate(group):
        (alone,) = run(backend, case, {name: [values[k]] for name, values in arguments.items()})
        single = np.array(case.call(backend, **copy.deepcopy({name: values[k] for name, values in arguments.items()})))
        assert np.array_equal(result, again[k])
        assert np.array_equal(result, alone)
        assert np.array_equal(result, single)


@all_cases
def test_a_stack_is_the_list_of_its_matrices(backend, rng, case):
    arguments = case.make(rng, [9] * 6, np.float64)

    stacked = case.call(
        backend, **{name: np.stack(values).reshape(2, 3, *values[0].shape) for name, values in arguments.items()}
    )

    assert np.array_equal(np.asarray(stacked).reshape(6, -1), np.stack(run(backend, case, arguments)).reshape(6, -1))


@all_cases
def test_leaves_its_inputs_alone(backend, rng, case):
    arguments = case.make(rng, few_sizes_for(backend, case), np.float64)
    given = copy.deepcopy(arguments)

    case.call(backend, **given)

    for name in arguments:
        unchanged = all(np.array_equal(a, b) for a, b in zip(arguments[name], given[name], strict=True))
        assert unchanged != case.writes(name)


@all_cases
def test_takes_strided_and_read_only_inputs(backend, rng, case):
    arguments = case.make(rng, few_sizes_for(backend, case), np.float64)
    expected = run(backend, case, arguments)

    def awkward(x, writable):
        room = np.zeros((3 * x.shape[0], *(2 * size for size in x.shape[1:])))
        is_square = x.ndim == 2 and x.shape[0] == x.shape[1]
        view = room[::-3, ::2].T if is_square else room[(slice(None, None, -3), *[slice(1, None, 2)] * (x.ndim - 1))]
        view[...] = x
        view.setflags(write=writable)
        return view

    strided = {name: [awkward(x, case.writes(name)) for x in values] for name, values in arguments.items()}

    results = flat(case.call(backend, **strided))

    assert all(np.allclose(a, b, rtol=1e-12, atol=1e-12) for a, b in zip(results, expected, strict=True))


@all_cases
def test_keeps_nan_within_its_own_matrix(backend, rng, case):
    arguments = case.make(rng, [5, 40, 70], np.float64)
    expected = run(backend, case, arguments)
    arguments[case.first][1][0, 0] = np.nan

    results = run(backend, case, arguments)

    assert np.array_equal(results[0], expected[0])
    assert np.array_equal(results[2], expected[2])


@all_cases
def test_matrices_without_elements_are_ordinary(backend, rng, case):
    arguments = case.make(rng, [0, 3, 0], np.float64)
    stacked = {name: np.zeros((4, *values[0].shape)) for name, values in arguments.items()}

    results = case.call(backend, **arguments)
    stack = case.call(backend, **stacked)

    assert [np.size(x) == 0 or np.isfinite(x).all() for x in results] == [True] * 3
    assert len(stack) == 4


@all_cases
def test_an_empty_group_is_an_empty_list(backend, case):
    names = case.make(np.random.default_rng(0), [1], np.float64)

    assert len(case.call(backend, **{name: [] for name in names})) == 0


@pytest.mark.parametrize("case", [case for case in CASES if "out" in case.optional], ids=lambda case: case.name)
@pytest.mark.parametrize("out_of", ["strided", "contiguous"])
def test_out_receives_the_result(backend, rng, case, out_of):
    arguments = case.make(rng, few_sizes_for(backend, case), np.float32)
    expected = run(backend, case, arguments)
    shapes = [x.shape for x in expected]
    out = [
        np.zeros(s, np.float32) if out_of == "contiguous" else np.zeros((s[1], 2 * s[0]), np.float32)[:, ::2].T
        for s in shapes
    ]

    result = case.call(backend, **arguments, out=out)

    assert result is out
    assert all(np.array_equal(a, b) for a, b in zip(out, expected, strict=True))


@all_cases
@pytest.mark.parametrize("dtype", [np.int64, np.complex128, ">f8", np.bool_, object])
def test_refuses_other_dtypes_by_name(case, rng, dtype):
    arguments = case.make(rng, [3, 4], np.float64)
    arguments[case.first][1] = arguments[case.first][1].astype(dtype)

    before = copy.deepcopy(arguments)
    expected = rf"must be float64 or float32 .* in native byte order, got dtype {np.dtype(dtype)}"
    with pytest.raises(TypeError, match=re.escape(f"{case.first}[1] ") + expected):
        case.call(cb, **arguments)

    assert all(np.array_equal(a, b) for name in before for a, b in zip(before[name], arguments[name], strict=True))


@all_cases
def test_refuses_mixed_dtypes(case, rng):
    arguments = case.make(rng, [3, 4], np.float64)
    arguments[case.first][1] = arguments[case.first][1].astype(np.float32)

    expected = re.escape(f"{case.first}[1] must be float64 like {case.first}[0], got float32")
    with pytest.raises(TypeError, match=expected):
        case.call(cb, **arguments)


@all_cases
@pytest.mark.parametrize("wrong", [None, 3.0, "text", [[1.0]], {}, np.ma.masked_array([[1.0]])])
def test_refuses_what_is_no_array(case, rng, wrong):
    arguments = {name: values[0] for name, values in case.make(rng, [3], np.float64).items()}
    arguments[case.first] = wrong

    with pytest.raises(TypeError, match=re.escape(case.first)):
        case.call(cb, **arguments)


@all_cases
def test_refuses_shapes_that_do_not_fit(case, rng):
    arguments = case.make(rng, [3, 4], np.float64)
    before = copy.deepcopy(arguments)

    for name in arguments:
        wrong = dict(arguments)
        wrong[name] = [arguments[name][0], np.zeros(case.wrong_shape)]
        with pytest.raises(ValueError, match=r"must have shape .*got \("):
            case.call(cb, **wrong)

    assert all(np.array_equal(a, b) for name in before for a, b in zip(before[name], arguments[name], strict=True))


@all_cases
def test_refuses_lists_of_other_lengths_and_forms(case, rng):
    arguments = case.make(rng, [3, 4], np.float64)

    for name in [name for name in arguments if name != case.first]:
        what, like = re.escape(name), re.escape(case.first)
        with pytest.raises(ValueError, match=f"{what} must have one array for each of the 2 of {like}, got 1"):
            case.call(cb, **{**arguments, name: arguments[name][:1]})
        with pytest.raises(TypeError, match=f"{what} must be a list of arrays like {like}, got numpy.ndarray"):
            case.call(cb, **{**arguments, name: arguments[name][0]})


@pytest.mark.parametrize(("name", "size"), [("update_factors", 3000), ("damped_inverse", 900), ("precondition", 900)])
def test_releases_the_gil(rng, name, size):
    case = next(case for case in CASES if case.name == name)
    arguments = case.make(rng, [size], np.float64)
    started, finished, ticks = threading.Event(), threading.Event(), 0

    def work():
        started.set()
        case.call(cb, **arguments)
        finished.set()

    cb.set_num_threads(1)
    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    while not finished.is_set():
        time.sleep(1e-4)
        ticks += 1
    thread.join()

    assert ticks >= 4  # with the GIL held it is one, or two


@all_cases
def test_many_python_threads_at_once_get_the_same_bits(backend, rng, case):
    sizes = [33, 200, 65] if backend.name.startswith("cpu") else [70]
    arguments = case.make(rng, sizes, np.float32)
    expected = run(backend, case, arguments)
    results = [None] * 6

    def work(k):
        for _ in range(5 if len(sizes) > 1 else 1):
            results[k] = run(backend, case, arguments)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(results))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(np.array_equal(a, b) for r in results for a, b in zip(r, expected, strict=True))
