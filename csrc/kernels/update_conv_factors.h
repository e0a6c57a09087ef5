// The input factor of a convolution (Grosse and Martens 2016, section 3) without its patch matrix.
#pragma once

#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas {

/// One axis of a convolution. Output position t and kernel offset k see input position t stride + k dilation - padding;
/// outside [0, size) the input is 0.
struct ConvAxis {
    Index size, kernel, stride, padding, dilation;

    CURVBLAS_DEVICE Index outputs() const { return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1; }
    CURVBLAS_DEVICE Index position(Index t, Index k) const { return t * stride + k * dilation - padding; }
};

/// The three axes (z, y, x); an image of fewer dimensions has axes of size and kernel 1 in front.
struct ConvGeometry {
    ConvAxis axis[3];

    CURVBLAS_DEVICE Index positions() const { return axis[0].outputs() * axis[1].outputs() * axis[2].outputs(); }
    CURVBLAS_DEVICE Index offsets() const { return axis[0].kernel * axis[1].kernel * axis[2].kernel; }
    CURVBLAS_DEVICE bool unit_stride() const {
        return axis[0].stride == 1 && axis[1].stride == 1 && axis[2].stride == 1;
    }
};

/// `batch` sets of N images of `channels` channels, of any row dtype. Strides count elements.
struct Images {
    const void* data;
    DType dtype;
    Index N, channels;
    Index n_stride, c_stride, stride[3];
    Index batch_stride;

    CURVBLAS_DEVICE Index offset(Index b, Index n, Index c, Index z, Index y, Index x) const {
        return b * batch_stride + n * n_stride + c * c_stride + z * stride[0] + y * stride[1] + x * stride[2];
    }
    CURVBLAS_DEVICE const void* at(Index b, Index n, Index c, Index z, Index y, Index x) const {
        return static_cast<const std::byte*>(data) + offset(b, n, c, z, y, x) * item_size(dtype);
    }
};

namespace CURVBLAS_BACKEND {

/// updated = decay C + scale sum_{n, t} a_nt a_nt^T for every matrix of every task, where a_nt is the patch of image n
/// that output position t sees: element (c, k) is channel c at kernel offset k, offsets in row-major order, and a last
/// element 1 where `bias`. Shapes: C and updated (batch, p, p), p = channels offsets (+ 1). decay and scale: one number
/// a matrix; without scale (null) it is (1 - decay) / N, and 0 where N = 0: a mean over cases, a sum over positions.
///
/// Only the lower triangle of C is read, and nothing of it where decay is 0; `updated` is written whole and exactly
/// symmetric, and may be C itself. The images may not overlap `updated`. N = 0 only decays. A decay outside [0, 1] or a
/// scale that is not finite makes that matrix NaN (there is no status); NaN in images or C stays within its own matrix,
/// where it may spread to elements that see it beside padding only.
/// Images of any dtype are converted to T, in which they are multiplied and accumulated.
///
/// With stride 1 on all axes, and channels enough for the lanes of the processor, the block of two kernel offsets is a
/// correlation that depends only on their difference, but for what the borders cut off: each product is formed once for
/// the (2K - 1)^d differences (half of them, by symmetry) instead of K^2d pairs, separately for the core and for the
/// border strips, which are only ever added. Else a small part of the patches is packed at a time on the CPU, and they
/// are looked up while tiles are staged on a device. Cost per matrix, N T the number of patches: about N T channels^2
/// (2K - 1)^d flops in the first case, N T p (p + 1) in the second; the images are read once for each tile of channels,
/// C once. Scratch: see conv_workspace_bytes. Same bits for any number of threads.
template <class T>
struct UpdateConvFactors {
    Stack<const T> C;
    Images images;
    ConvGeometry geometry;
    bool bias;
    const double* decay;
    const double* scale;
    Stack<T> updated;
};

template <class T>
void update_conv_factors(const Queue& queue, std::span<const UpdateConvFactors<T>> group);

/// The bytes of temporary memory that this call holds at a time, over all threads.
template <class T>
Index conv_workspace_bytes(const Queue& queue, std::span<const UpdateConvFactors<T>> group);

}  // namespace CURVBLAS_BACKEND
}  // namespace curvblas
