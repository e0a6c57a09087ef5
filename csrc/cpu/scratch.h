// Temporary memory that a thread keeps from call to call, so that kernels do not pay for page faults each time.
#pragma once

#include <sys/mman.h>

#include <cstdlib>
#include <memory>
#include <new>

#include "core/view.h"

namespace curvblas::cpu {

struct Free {
    void operator()(std::byte* p) const { std::free(p); }
};

/// Memory of an alignment of 64 bytes, for std::free: in huge pages where the system has them and they are worth it. An
/// inverse of n = 4096 spent a tenth of its time on page faults.
inline std::byte* allocate(Index bytes) {
    constexpr Index huge_page = Index{2} << 20;
    const Index alignment = bytes < 2 * huge_page ? 64 : huge_page;
    const auto size = static_cast<std::size_t>((bytes + alignment - 1) / alignment * alignment);
    void* const memory = std::aligned_alloc(static_cast<std::size_t>(alignment), size);
    if (!memory) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    if (alignment == huge_page) madvise(memory, size, MADV_HUGEPAGE);
#endif
    return static_cast<std::byte*>(memory);
}

/// One growing block of 64-byte aligned memory. Uninitialised.
class Block {
  public:
    std::byte* reserve(Index bytes) {
        if (bytes > size_) {
            memory_.reset();  // before the allocation: the old contents are not needed, their memory may be
            size_ = 0;
            memory_.reset(allocate(bytes));
            size_ = bytes;
        }
        return memory_.get();
    }
    /// Lets the system take the memory back, if it needs it: what it takes is zero then.
    void offer() {
#if defined(MADV_FREE)
        if (madvise(memory_.get(), static_cast<std::size_t>(size_), MADV_FREE) == 0) return;
#endif
        memory_.reset(), size_ = 0;
    }

  private:
    std::unique_ptr<std::byte, Free> memory_;
    Index size_ = 0;
};

constexpr Index padded(Index bytes) { return (bytes + 63) / 64 * 64; }

/// What Scratch::take<T>(count) carves.
template <class T>
constexpr Index bytes(Index count) {
    return padded(count * static_cast<Index>(sizeof(T)));
}

/// Carves aligned arrays from memory of so many bytes.
class Carver {
  public:
    Carver(std::byte* memory, Index bytes) : top_(memory), end_(memory + bytes) {}

    template <class T>
    T* take(Index count) {
        T* const taken = reinterpret_cast<T*>(top_);
        top_ += bytes<T>(count);
        return top_ <= end_ ? taken : throw std::bad_alloc();  // a kernel that asked for too little, not the system
    }

  private:
    std::byte *top_, *end_;
};

/// How far apart rows of n elements lie: an odd number of 16 elements, so that they begin in different cache sets, and
/// 1 to 32 more than n, which vectors may read.
constexpr Index spread_row(Index n) { return (((n + 15) / 16 + 1) | 1) * 16; }

/// The use of a thread's Block within one item, which take() carves. `Tag` names the owner, so that
/// two kernels' scratch never overlaps. What a use above 64 MiB leaves is the system's to take back, when memory is
/// short; later uses that need less do not ask the system again.
template <class Tag>
class Scratch {
  public:
    explicit Scratch(Index bytes) : bytes_(bytes), carver_(block().reserve(bytes), bytes) {}
    ~Scratch() {
        if (bytes_ > most_kept) block().offer();
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    template <class T>
    T* take(Index count) {
        return carver_.template take<T>(count);
    }

  private:
    static Block& block() {
        thread_local Block own;
        return own;
    }
    static constexpr Index most_kept = Index{64} << 20;
    const Index bytes_;
    Carver carver_;
};

}  // namespace curvblas::cpu
