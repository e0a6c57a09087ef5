// Natural gradients in the space of samples: as many unknowns as rows of a Jacobian instead of as its columns (minSR,
// SPRING, the push-through form of a damped least-squares problem).
#pragma once

#include <span>

#include "core/status.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// x = mu previous + J^H (J J^H + damping I)^-1 (rhs - mu J previous), which minimises |J x - rhs|^2 + damping |x - mu
/// previous|^2, for every matrix of every task. Shapes: J (batch, N, P), rhs (batch, 1, N), previous (no data: none)
/// and x (batch, 1, P); damping one a matrix, mu one for all. `is_complex`: J, rhs, previous and x hold real and
/// imaginary parts as neighbours, 2 P columns and 2 N elements of the real T. x may not overlap an input.
///
/// J is read in blocks of columns, of 32 MB each, once for K = J J^H and J previous, and once for J^H: what memory
/// cannot hold is mapped. K is formed as by gram, summed over blocks in float64; complex K as [[Re K, -Im K], [Im K, Re
/// K]], the squares of the real rows (J; -i J), which a block is copied to. It is solved, with statuses, as
/// sample_system.h says; an x that T does not hold is not_finite too. Where squares of float32 rows overflow or may
/// have vanished, K and J previous are formed again, in float64. A device is waited for, once, and twice in float32,
/// for every 256 MB of such copies.
///
/// Cost: N^2 P + 4 N P flops, N^3 / 3 (complex: 8 N^2 P + 16 N P, 8 N^3 / 3); 2 N P words. Same bits for any number of
/// threads.
template <class T>
struct SampleSpaceSolve {
    Stack<const T> J, rhs, previous;
    const double* damping;
    Stack<T> x;
    Status* status;
    bool is_complex;
};

template <class T>
void sample_space_solve(const Queue& queue, std::span<const SampleSpaceSolve<T>> group, double momentum);

}  // namespace curvblas::CURVBLAS_BACKEND
