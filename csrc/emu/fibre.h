// Fibres: stacks that one OS thread switches between. Each CUDA thread of the block that runs is one.
#pragma once

#include <cstddef>

#if !defined(__x86_64__) || defined(CURVBLAS_EMU_UCONTEXT)
#define CURVBLAS_EMU_HAS_SWITCH 0
#include <ucontext.h>
#else
#define CURVBLAS_EMU_HAS_SWITCH 1
#endif

namespace curvblas::emulator {

constexpr std::size_t stack_bytes = 64 << 10;

/// A suspended computation. `prepare` makes it begin with entry() on the stack that ends at `stack_end`; entry must
/// never return.
class Fibre {
  public:
    void prepare(std::byte* stack_end, void (*entry)());
    /// Suspends the running computation into `from` and goes on with `to`.
    static void switch_between(Fibre& from, Fibre& to);

  private:
#if CURVBLAS_EMU_HAS_SWITCH
    void* stack_pointer_ = nullptr;
#else
    ucontext_t context_;
#endif
};

/// `count` stacks with a guard page below each. Grows, never shrinks.
class Stacks {
  public:
    void reserve(std::size_t count);
    std::byte* end(std::size_t k) const { return memory_ + (k + 1) * pitch; }
    bool holds(const void* p) const { return p >= memory_ && p < memory_ + count_ * pitch; }

  private:
    static constexpr std::size_t guard_bytes = 4 << 10, pitch = stack_bytes + guard_bytes;
    std::byte* memory_ = nullptr;
    std::size_t count_ = 0;
};

}  // namespace curvblas::emulator
