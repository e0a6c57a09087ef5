// Where a kernel runs: a stream of one device, with scratch memory in the stream's order.
#pragma once

#include <memory>
#include <span>

#include "core/require.h"
#include "core/view.h"
#include "cuda/runtime.h"

namespace curvblas::CURVBLAS_BACKEND {

struct Release {
    Stream stream;
    int device;
    void operator()(const void* memory) const noexcept {
        const OnDevice current(device);
        release(const_cast<void*>(memory), stream);
    }
};

/// Device memory that goes back when what was queued before its end of life is done.
template <class T>
using Scratch = std::unique_ptr<T[], Release>;

/// Matrices and blocks are counted by int on the device; more of them are an error of the call.
inline int counted(Index n) {
    if (n > 0x7fffffff) wrong_value("a group of ", n, " matrices is too large for a device: at most 2147483647 fit");
    return static_cast<int>(n);
}

/// A grid with one block for each entry of a table.
template <class Table>
unsigned grid_for(const Table& table) {
    return static_cast<unsigned>(counted(static_cast<Index>(table.size())));
}

class Queue {
  public:
    Queue(Stream stream, int device) : stream_(stream), device_(device), current_(device) {}

    Stream stream() const { return stream_; }
    int device() const { return device_; }

    template <class T>
    Scratch<T> scratch(Index count) const {
        return Scratch<T>(static_cast<T*>(allocate(static_cast<std::size_t>(count) * sizeof(T), stream_)),
                          {stream_, device_});
    }
    /// A copy of the host's `values` on the device.
    template <class T>
    Scratch<T> copy_of(std::span<const T> values) const {
        static_assert(std::is_trivially_copyable_v<T>);
        auto copy = scratch<T>(static_cast<Index>(values.size()));
        upload(copy.get(), values.data(), values.size_bytes(), stream_);
        return copy;
    }

    // An algorithm works on all that it has in one go: a device wants many blocks of threads.
    static constexpr Index piece_bytes = Index{1} << 62;
    template <class Work>
    void run_pieces(Index pieces, double, const Work& work) const {
        for (Index piece = 0; piece < pieces; ++piece) work(piece);
    }

  private:
    Stream stream_;
    int device_;
    OnDevice current_;
};

}  // namespace curvblas::CURVBLAS_BACKEND
