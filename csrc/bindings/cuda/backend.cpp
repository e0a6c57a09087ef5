// The entries that only a device has; parameters in its memory.
#include "bindings/backend.h"

#include "bindings/cuda/device_array.h"
#include "bindings/cuda/stream.h"
#include "bindings/group.h"
#include "core/status.h"
#include "cuda/gather.h"
#ifdef CURVBLAS_EMULATE_CUDA
#include "bindings/emu/emulator.h"
#endif

namespace curvblas {

Queue queue_for(const Borrowed& borrowed) {
    // Without elements, nothing tells a device: results are made on the current one.
    const int device = borrowed.device >= 0 ? borrowed.device : CURVBLAS_BACKEND::current_device();
    return Queue(borrowed.stream ? borrowed.stream : legacy_stream, device);
}

void hand_back(const Borrowed& borrowed) noexcept {
    try {
        const CURVBLAS_BACKEND::OnDevice current(borrowed.device);
        for (void* const stream : borrowed.other_streams) CURVBLAS_BACKEND::order_after(stream, borrowed.stream);
    } catch (const std::exception&) {
        // The device has failed: the next call of anybody says so.
    }
}

template <class T>
std::shared_ptr<T[]> temporary(const Queue& queue, Index count) {
    return std::shared_ptr<T[]>(queue.scratch<T>(count));
}

Numbers numbers(const Queue& queue, const std::vector<double>& values) {
    return queue.copy_of(std::span<const double>(values));
}

Numbers numbers(const Queue& queue, const Array& a, Index total) {
    // Copied even where it could be read in place: the call may write the array that it is a part of.
    auto values = temporary<double>(queue, total);
    CURVBLAS_BACKEND::Layout layout{};
    for (int k = 0; k < a.ndim; ++k) layout.shape[k] = a.shape[k], layout.strides[k] = a.strides[k];
    layout.ndim = a.ndim;
    CURVBLAS_BACKEND::gather(queue, a.data, a.dtype, layout, total, values.get());
    return values;
}

template <class T>
std::vector<T> host_copy(const Queue& queue, const T* data, Index count) {
    std::vector<T> copy(static_cast<std::size_t>(count));
    CURVBLAS_BACKEND::download(copy.data(), data, copy.size() * sizeof(T), queue.stream());
    return copy;
}

template std::shared_ptr<Index[]> temporary(const Queue&, Index);
template std::vector<Index> host_copy(const Queue&, const Index*, Index);
template std::vector<Status> host_copy(const Queue&, const Status*, Index);

void register_backend(py::module_& m) {
    register_device_array(m);
    m.def("why_not_usable", &CURVBLAS_BACKEND::why_not_usable);
    m.def("device_name", &CURVBLAS_BACKEND::device_name);
    m.attr("architectures") = CURVBLAS_CUDA_ARCHITECTURES;
#ifdef CURVBLAS_EMULATE_CUDA
    register_emulator(m);
#endif
}

}  // namespace curvblas
