"""Between devices' libraries: DLPack in and out, and whose stream waits for whose."""

import ml_dtypes
import numpy as np
import pytest

import curvblas as cb

import emulation
from doubles import DlpackOnly, Liar

pytestmark = pytest.mark.emulated


@pytest.fixture
def emu():
    return emulation.load("_emu")


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

        inverse = emu.damped_inverse(tensor, 1.0, None, "jitter", None)[0]

        assert inverse.__cuda_array_interface__["stream"] == 55
