// On which stream a call runs: that of its first array, so that the library it belongs to sees the results in its own
// order. It waits for the streams of the other arrays, and what follows on these waits for it.
#pragma once

#include "bindings/array.h"

namespace curvblas {

/// CUDA's default stream, which waits for all others and they for it, but for those made "non-blocking": where no
/// stream is known.
inline void* const legacy_stream = reinterpret_cast<void*>(1);

/// The stream on which an array was made: what the interface says (`entry`, None if it has no such entry), or PyTorch's
/// current one. Null where there is nothing to wait for.
void* stream_of(py::handle object, const py::object& entry, const Argument& argument);

}  // namespace curvblas
