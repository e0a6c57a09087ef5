// What the bindings need of their backend beside the kernels; each backend has its own definitions.
#pragma once

#include <memory>
#include <vector>

#include "bindings/array.h"
#include "queue.h"

namespace curvblas {

using CURVBLAS_BACKEND::Queue;

/// The queue that the kernels of a call run on.
Queue queue_for(const Borrowed& borrowed);

/// Ends a call: what the streams of its arrays do from now on comes after what it queued.
void hand_back(const Borrowed& borrowed) noexcept;

/// Numbers, one a matrix, where the kernels read them.
using Numbers = std::shared_ptr<const double[]>;
Numbers numbers(const Queue& queue, const std::vector<double>& values);
/// `total` numbers from an array in the backend's memory that has as many elements, or one for all.
Numbers numbers(const Queue& queue, const Array& a, Index total);

/// Memory of the backend for the length of a call; uninitialised.
template <class T>
std::shared_ptr<T[]> temporary(const Queue& queue, Index count);

/// A copy that the host can read. On a GPU it waits for everything that was queued before.
template <class T>
std::vector<T> host_copy(const Queue& queue, const T* data, Index count);

/// Registers what only this backend has: for the CPU the number of threads and the instruction set.
void register_backend(py::module_& m);

}  // namespace curvblas
