// Natural gradients in the space of samples without a Jacobian: a layer's gradient of a case is g a^T, and what is
// needed of it are products of the a and of the g.
#pragma once

#include <span>
#include <vector>

#include "core/status.h"
#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

/// The inputs of one layer and the derivatives of its outputs, N cases of T positions each, in rows of T numbers of one
/// type: A (N, T, p), G (N, T, q). `bias` appends a 1 to each row of A.
struct LayerRows {
    Rows A, G;
    bool bias;
};

/// K_nm = sum over layers and positions t, u of (a_nt . a_mu) (g_nt . g_mu), (N, N): J J^T for the Jacobian J whose
/// rows are the gradients sum over t of g_nt a_nt^T of all layers. K is full, exactly symmetric, and may not overlap
/// rows.
///
/// A layer is done in whichever way is cheaper: products of all pairs of rows, N^2 T^2 (p + q) flops; or, with T > 1
/// and T^2 (p + q) > p q, the gradients of its cases and their products, 2 N T p q + N^2 p q. Either in blocks of some
/// 64 MB. Products are formed as by gram, gradients in the type of the rows; sums over layers are in float64. Rows that
/// no single stride walks are copied. NaN, Inf and squares that T does not hold make the products of their case NaN:
/// there is no status. Same bits for any number of threads.
template <class T>
void layer_gram(const Queue& queue, std::span<const LayerRows> layers, const Matrix<double>& K);

/// x_l = sum over cases and positions of w_n g_nt a_nt^T, with w = (K + damping I)^-1 rhs: J^T (J J^T + damping I)^-1
/// rhs, layer by layer. Shapes: rhs (1, N), x_l (q, p), or (q, p + 1) with bias. No x may overlap anything. Status,
/// one: as sample_system.h says, and x is NaN where there is no solution. Cost: that of layer_gram, N^3 / 3 and 2 N T p
/// q flops a layer; a copy of the rows of G. A device is waited for once.
template <class T>
struct SampleSpaceLayers {
    std::span<const LayerRows> layers;
    Matrix<const T> rhs;
    const double* damping;
    std::vector<Matrix<T>> x;
    Status* status;
};

template <class T>
void sample_space_solve_layers(const Queue& queue, const SampleSpaceLayers<T>& task);

}  // namespace curvblas::CURVBLAS_BACKEND
