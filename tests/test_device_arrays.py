"""Arrays on a device: what they say of themselves is checked before it is believed; streams are honoured."""

import ml_dtypes
import numpy as np
import pytest

import curvblas as cb

import emulation

pytestmark = pytest.mark.emulated


@pytest.fixture
def emu():
    return emulation.load("_emu")


class Liar:
    """An array whose interface differs from the truth in some entries."""

    __module__ = "curvblas._emu"  # decides about the backend

    def __init__(self, array, **lies):
        self.array = array
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, **lies}


def pointer(array):
    return array.__cuda_array_interface__["data"][0]


def test_the_honest_interface_is_accepted(emu):
    C = emu.Array.to_device(np.eye(3))

    result = cb.damped_inverse(Liar(C), 1.0)

    assert np.allclose(result.inverse.to_host(), np.eye(3) / 2)


LIES = {
    "no version": ({"version": None}, TypeError, "must have 'version' 2 or 3, got None"),
    "old version": ({"version": 0}, TypeError, "must have 'version' 2 or 3, got 0"),
    "future version": ({"version": 4}, TypeError, "must have 'version' 2 or 3, got 4"),
    "version that is no number": ({"version": "3"}, TypeError, "must have 'version' 2 or 3, got '3'"),
    "strides for other axes": ({"strides": (8,)}, TypeError, r"must have 'strides' of 2 integers, got \(8,\)"),
    "strides of floats": ({"strides": (24.0, 8.0)}, TypeError, "must have 'strides' of 2 integers"),
    "strides that are no tuple": ({"strides": [24, 8]}, TypeError, "must have 'strides' of 2 integers"),
    "strides of half elements": ({"strides": (24, 4)}, ValueError, "must be aligned to its item size of 8 bytes"),
    "strides beyond the allocation": (
        {"strides": (32, 8)},
        ValueError,
        "must lie within its allocation of 72 bytes, .* reach from byte 0 to byte 88",
    ),
    "strides before the allocation": (
        {"strides": (-24, 8)},
        ValueError,
        "must lie within its allocation of 72 bytes, .* reach from byte -48 to byte 24",
    ),
    "strides beyond all memory": ({"strides": (1 << 62, 8)}, ValueError, "must lie within its allocation"),
    "a larger shape": ({"shape": (4, 4), "strides": None}, ValueError, "must lie within its allocation of 72 bytes"),
    "a shape beyond all memory": (
        {"shape": (1 << 40, 1 << 40), "strides": None},
        ValueError,
        "must lie within its allocation",
    ),
    "a negative shape": ({"shape": (-3, -3), "strides": None}, TypeError, "must have 'shape' of 2 integers >= 0"),
    "a shape of floats": ({"shape": (3.0, 3.0)}, TypeError, "must have 'shape' of 2 integers >= 0"),
    "a shape that is no tuple": ({"shape": 9}, TypeError, "must have 'shape' of integers, got 9"),
    "a wider dtype": ({"typestr": "<i8"}, TypeError, "must be float64 or float32 .* got typestr '<i8'"),
    "the other byte order": ({"typestr": ">f8"}, TypeError, "must be float64 or float32 .* got typestr '>f8'"),
    "a dtype that is no text": ({"typestr": 8}, TypeError, "must be float64 or float32 .* got typestr 8"),
    "two bytes of anything": ({"typestr": "<V2"}, TypeError, "must be float64 or float32 .* got typestr '<V2'"),
    "a null pointer": ({"data": (0, False)}, ValueError, "must be in the memory of a CUDA device"),
    "a pointer without a flag": ({"data": (4096,)}, TypeError, "must have 'data' of a pointer and whether"),
    "a flag that is no bool": ({"data": (4096, 0)}, TypeError, "must have 'data' of a pointer and whether"),
    "a negative pointer": ({"data": (-1, False)}, TypeError, "must have 'data' of a pointer and whether"),
    "a mask": ({"mask": object()}, TypeError, "must have no 'mask'"),
    "stream 0": ({"stream": 0}, TypeError, "must have 'stream' None, 1, 2 or a handle, got 0"),
    "a stream that is no number": ({"stream": "main"}, TypeError, "must have 'stream' None, 1, 2 or a handle"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_refused_by_name(emu, lie):
    lies, error, message = LIES[lie]
    C = emu.Array.to_device(np.eye(3))

    with pytest.raises(error, match=f"(?s)damped_inverse: factors.*{message}"):
        cb.damped_inverse(Liar(C, **lies), 1.0)

    assert np.array_equal(C.to_host(), np.eye(3))


def test_memory_of_the_host_is_not_memory_of_the_device(emu):
    host = np.eye(3)

    with pytest.raises(ValueError, match=r"factors must be in the memory of a CUDA device, got the address .* is not"):
        cb.damped_inverse(Liar(emu.Array.to_device(host), data=(host.ctypes.data, False)), 1.0)


def test_a_pointer_into_freed_memory_is_refused(emu):
    C = emu.Array.to_device(np.eye(3))
    freed = Liar(emu.Array.to_device(np.eye(50)))
    del freed.array

    with pytest.raises(ValueError, match=r"factors\[1\] must be in the memory of a CUDA device"):
        cb.damped_inverse([C, freed], 1.0)


def test_an_interface_that_is_no_dict_or_fails_is_named(emu):
    class NoDict:
        __module__ = "curvblas._emu"
        __cuda_array_interface__ = 7

    with pytest.raises(TypeError, match=r"factors.__cuda_array_interface__ must be a dict, got 7"):
        cb.damped_inverse(NoDict(), 1.0)


def test_read_only_memory_is_not_written(emu):
    C, rows = np.eye(3), emu.Array.to_device(np.ones((2, 3)))
    C.setflags(write=False)
    there = emu.Array.to_device(C)

    with pytest.raises(ValueError, match="factors must be writable, got a read-only array: copy=True returns new"):
        cb.update_factors(there, rows)
    updated = cb.update_factors(there, rows, copy=True)

    assert np.array_equal(there.to_host(), C)
    assert np.allclose(updated.to_host(), 0.95 * C + 0.05)


def test_arrays_of_the_host_are_refused_beside_those_of_a_device(emu):
    V, A = emu.Array.to_device(np.ones((2, 3))), np.eye(3)

    with pytest.raises(
        TypeError, match=r"A_inv must be on a CUDA device like the rest of the call, got a numpy.ndarray"
    ):
        cb.precondition(V, A, emu.Array.to_device(np.eye(2)))
    with pytest.raises(TypeError, match=r"A_inv must be in the CPU's memory|A_inv must be an array"):
        cb.precondition(np.ones((2, 3)), emu.Array.to_device(np.eye(3)), np.eye(2))


@pytest.mark.parametrize("dtype", [np.int32, np.complex64, ">f8", np.bool_])
def test_other_dtypes_are_refused(emu, dtype):
    with pytest.raises(TypeError, match=r"factors must be float64 or float32 .* got typestr"):
        cb.damped_inverse(emu.Array.to_device(np.eye(3).astype(dtype)), 1.0)


@pytest.mark.parametrize("name", ["bfloat16", "torch.bfloat16"])
def test_bfloat16_is_told_from_two_bytes_of_anything_by_the_name_of_its_dtype(emu, name):
    rows = np.arange(6).reshape(2, 3)
    C = emu.Array.to_device(np.zeros((3, 3)))
    there = Liar(emu.Array.to_device(rows.astype(ml_dtypes.bfloat16)))
    there.dtype = name

    cb.update_factors(C, there, decay=0.0)

    assert np.array_equal(C.to_host(), rows.T @ rows / 2)


def test_results_are_arrays_of_the_device_and_parameters_may_be(emu):
    A, G = (emu.Array.to_device(np.stack([np.eye(n), 4 * np.eye(n)])) for n in (3, 2))

    damping_A, damping_G = cb.factored_damping(A, G, np.array([0.04, 0.01]))
    result = cb.damped_inverse(A, damping_A)
    single = emu.Array.to_device(damping_A.to_host().astype(np.float32))
    again = cb.damped_inverse(A, single)

    assert type(damping_G) is type(result.inverse) is type(result.status) is emu.Array
    assert damping_A.to_host().tolist() == [0.2, 0.1]
    assert result.status.to_host().tolist() == [0, 0]
    assert np.allclose(result.inverse.to_host()[1], np.eye(3) / 4.1)
    assert np.allclose(again.inverse.to_host(), result.inverse.to_host(), rtol=1e-6)


def test_a_parameter_may_be_a_part_of_what_is_written(emu):
    checked = emulation.load("_emu_checked")
    C, rows = np.full((130, 130), 0.5), np.ones((1, 130))
    there = checked.Array.to_device(C)
    interface = there.__cuda_array_interface__
    decay = Liar(there, shape=(), strides=())
    decay.__class__ = type("Part", (Liar,), {"__module__": "curvblas._emu_checked"})

    cb.update_factors(there, checked.Array.to_device(rows), decay=decay)

    assert interface["shape"] == (130, 130)
    assert np.array_equal(there.to_host(), np.full((130, 130), 0.75))


def test_results_without_elements_know_their_device(emu):
    result = cb.damped_inverse(emu.Array.to_device(np.zeros((4, 0, 0))), 1.0)

    assert result.inverse.__dlpack_device__() == result.status.__dlpack_device__() == (2, 0)
    assert result.ok.tolist() == [True] * 4


def test_a_strided_parameter_and_one_for_all(emu):
    C = emu.Array.to_device(np.stack([np.eye(2)] * 4).reshape(2, 2, 2, 2))
    damping = np.arange(8.0).reshape(2, 4)[:, ::2]

    each = cb.damped_inverse(C, emu.Array.to_device(damping)).inverse.to_host()
    all_ = cb.damped_inverse(C, emu.Array.to_device(np.array(3.0))).inverse.to_host()

    assert np.allclose(each[..., 0, 0], 1 / (1 + damping))
    assert np.allclose(all_[..., 0, 0], 0.25)


class DlpackOnly:
    """An array on the emulated device that offers DLPack and nothing else, and asks for its consumer's stream."""

    __module__ = "curvblas._emu"

    def __init__(self, array, device=(2, 0), versioned=True):
        self.array, self.device, self.versioned, self.streams = array, device, versioned, []

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, *, stream=None, **options):
        if options and not self.versioned:
            raise TypeError("__dlpack__() got an unexpected keyword argument 'max_version'")
        self.streams.append(stream)
        return self.array.__dlpack__(stream=stream, **options)


class TestDlpack:
    @pytest.mark.parametrize("versioned", [True, False])
    def test_arrays_come_and_go_through_capsules(self, emu, versioned):
        C = DlpackOnly(emu.Array.to_device(np.eye(6)[::2, ::2]), versioned=versioned)
        rows = DlpackOnly(emu.Array.to_device(np.ones((2, 3), ml_dtypes.bfloat16)), versioned=versioned)

        cb.update_factors(C, rows, decay=0.5)

        assert np.allclose(C.array.to_host(), 0.5 * np.eye(3) + 0.5)

    def test_the_producer_is_told_the_stream_of_the_call(self, emu):
        V, A, G = (emu.Array.to_device(np.eye(3)) for _ in range(3))
        made_on_77, other = Liar(V, stream=77), DlpackOnly(A)

        cb.precondition(made_on_77, other, DlpackOnly(G))

        assert other.streams == [77]

    def test_the_consumers_stream_waits_for_ours(self, emu):
        array = emu.Array.to_device(np.eye(3))
        emu.take_stream_orders()

        for stream in (None, 1, 88, -1):
            array.__dlpack__(stream=stream)

        assert emu.take_stream_orders() == [(88, 1)]

    def test_an_export_to_another_device_is_refused(self, emu):
        array = emu.Array.to_device(np.eye(3))

        assert array.__dlpack__(dl_device=(2, 0))
        with pytest.raises(BufferError, match="arrays are exported on their own device only"):
            array.__dlpack__(dl_device=(1, 0))
        with pytest.raises(BufferError, match="copies are not made here"):
            array.__dlpack__(copy=True)

    def test_another_device_is_refused(self, emu):
        C = emu.Array.to_device(np.eye(3))

        with pytest.raises(TypeError, match=r"factors must be on a CUDA device .* got a .* on DLPack device type 10"):
            cb.damped_inverse(DlpackOnly(C, device=(10, 0)), 1.0)

    def test_memory_lives_as_long_as_the_capsule(self, emu):
        array = emu.Array.to_device(np.eye(3))
        same_memory = Liar(array)
        capsule = array.__dlpack__()
        del array, same_memory.array

        assert np.allclose(cb.damped_inverse(same_memory, 1.0).inverse.to_host(), np.eye(3) / 2)
        del capsule
        with pytest.raises(ValueError, match="factors must be in the memory of a CUDA device"):
            cb.damped_inverse(same_memory, 1.0)

    def test_results_go_back_to_their_library(self, emu, monkeypatch):
        import sys
        import types

        library = types.ModuleType("devices")
        library.from_dlpack = DlpackOnly
        monkeypatch.setitem(sys.modules, "devices", library)
        kind = type("Tensor", (DlpackOnly,), {"__module__": "devices"})
        monkeypatch.setattr("curvblas.kronecker.backend_of", lambda *_: emu)

        result = cb.damped_inverse([kind(emu.Array.to_device(np.eye(3)))], 1.0)

        assert type(result.inverse[0]) is type(result.status) is DlpackOnly
        assert np.allclose(result.inverse[0].array.to_host(), np.eye(3) / 2)


class TestStreams:
    def orders(self, emu, *streams):
        """Call with arrays made on these streams; return which streams wait for which, and the result's."""
        arrays = [Liar(emu.Array.to_device(np.eye(3)), stream=stream) for stream in streams]
        emu.take_stream_orders()

        result = cb.damped_inverse(arrays, 1.0)

        return emu.take_stream_orders(), result.inverse[0].__cuda_array_interface__["stream"]

    def test_a_call_runs_on_the_stream_of_its_first_array(self, emu):
        assert self.orders(emu, 77, 77) == ([], 77)

    def test_streams_of_other_arrays_are_waited_for_and_wait_for_it(self, emu):
        assert self.orders(emu, 77, 88, 99) == ([(77, 88), (77, 99), (88, 77), (99, 77)], 77)

    def test_without_a_stream_it_runs_on_the_default_one(self, emu):
        assert self.orders(emu, None, 88) == ([(1, 88), (88, 1)], 1)

    def test_version_2_of_the_interface_has_no_streams(self, emu):
        C = Liar(emu.Array.to_device(np.eye(3)), version=2)
        del C.__cuda_array_interface__["stream"]

        assert cb.damped_inverse(C, 1.0).inverse.__cuda_array_interface__["stream"] == 1

    def test_pytorch_is_asked_for_its_current_stream(self, emu, monkeypatch):
        import sys
        import types

        torch = types.ModuleType("torch")
        torch.cuda = types.SimpleNamespace(current_stream=lambda device: types.SimpleNamespace(cuda_stream=55))
        monkeypatch.setitem(sys.modules, "torch", torch)
        tensor = type("Tensor", (Liar,), {"__module__": "torch", "device": "cuda:0"})(emu.Array.to_device(np.eye(3)))
        tensor.__cuda_array_interface__["version"] = 2
        del tensor.__cuda_array_interface__["stream"]

        inverse = emu.damped_inverse(tensor, 1.0, "jitter", None)[0]

        assert inverse.__cuda_array_interface__["stream"] == 55
