#include "emu/fibre.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace curvblas::emulator {

#if CURVBLAS_EMU_HAS_SWITCH

// System V: the callee keeps rbx, rbp, r12 to r15. Pushes them, swaps the stacks, pops those of the other fibre, and
// returns into it. The floating-point control words are the same for all fibres.
asm(R"(
    .text
    .p2align 4
    .type curvblas_emu_switch, @function
curvblas_emu_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size curvblas_emu_switch, .-curvblas_emu_switch
)");
extern "C" void curvblas_emu_switch(void** save, void* load);

void Fibre::prepare(std::byte* stack_end, void (*entry)()) {
    // As if entry had been called: at its first instruction the stack pointer is 8 below a multiple of 16.
    auto* top = reinterpret_cast<std::uint64_t*>(stack_end) - 1;
    *top = 0;  // the return address that entry never uses
    *--top = reinterpret_cast<std::uint64_t>(entry);
    for (int k = 0; k < 6; ++k) *--top = 0;  // the six registers
    stack_pointer_ = top;
}

void Fibre::switch_between(Fibre& from, Fibre& to) { curvblas_emu_switch(&from.stack_pointer_, to.stack_pointer_); }

#else

void Fibre::prepare(std::byte* stack_end, void (*entry)()) {
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack_end - stack_bytes;
    context_.uc_stack.ss_size = stack_bytes;
    context_.uc_link = nullptr;
    makecontext(&context_, entry, 0);
}

void Fibre::switch_between(Fibre& from, Fibre& to) { swapcontext(&from.context_, &to.context_); }

#endif

void Stacks::reserve(std::size_t count) {
    if (count <= count_) return;
    if (memory_) munmap(memory_, count_ * pitch);
    void* const memory = mmap(nullptr, count * pitch, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<std::byte*>(memory), count_ = count;
    for (std::size_t k = 0; k < count; ++k) mprotect(memory_ + k * pitch, guard_bytes, PROT_NONE);
}

}  // namespace curvblas::emulator
