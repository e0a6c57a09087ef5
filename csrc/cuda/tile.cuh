// Tiles of a matrix product: a block of threads computes 64 x 64 elements of sum_k a_k b_k^T from two panels, which it
// brings to shared memory 16 steps of k at a time, the next ones while it multiplies the present ones.
#pragma once

#include "cuda/block.cuh"

namespace curvblas::CURVBLAS_BACKEND {

template <class T>
class Tile {
  public:
    static constexpr int edge = 64, depth = 16, per_thread = 4, threads = 256;
    static constexpr int resident = sizeof(T) == 4 ? 2 : 1;  // blocks a multiprocessor: 128 or 255 registers a thread
    static constexpr int pitch = edge + Vector<T>::size;     // rows of a panel begin in different banks
    static constexpr int panel = depth * pitch;
    static constexpr std::size_t shared_bytes = 4 * panel * sizeof(T);

    /// Adds the products of steps 0 ... steps - 1. stage_a(to, k0) and stage_b(to, k0) bring the panel of steps k0 ...
    /// k0 + depth - 1 to to[k * pitch + i], zeros beyond `steps`; they may do so by copy_async.
    template <class StageA, class StageB>
    __device__ void accumulate(Index steps, const StageA& stage_a, const StageB& stage_b) {
        T* const shared = dynamic_shared<T>();
        const auto stage = [&](Index k0) {
            T* const to = shared + k0 / depth % 2 * 2 * panel;
            stage_a(to, k0);
            stage_b(to + panel, k0);
        };
        if (steps > 0) stage(0);
        commit_copies();
        for (Index k0 = 0; k0 < steps; k0 += depth) {
            if (k0 + depth < steps) stage(k0 + depth);
            commit_copies();
            wait_for_copies<1>();
            __syncthreads();
            const T* const a = shared + k0 / depth % 2 * 2 * panel;
            multiply(a, a + panel);
            __syncthreads();  // before this buffer is staged again
        }
        wait_for_copies<0>();
    }

    /// Adds the square of each element of M.
    __device__ void add_squares(const Tile& M) {
#pragma unroll
        for (int i = 0; i < per_thread; ++i)
#pragma unroll
            for (int j = 0; j < per_thread; ++j) sum_[i][j] = fma(M.sum_[i][j], M.sum_[i][j], sum_[i][j]);
    }

    /// Calls f(i, j, sum) for the elements of this thread, sum by reference.
    template <class F>
    __device__ void for_each(const F& f) {
        const int i0 = static_cast<int>(threadIdx.x) / (edge / per_thread) * per_thread;
        const int j0 = static_cast<int>(threadIdx.x) % (edge / per_thread) * per_thread;
#pragma unroll
        for (int i = 0; i < per_thread; ++i)
#pragma unroll
            for (int j = 0; j < per_thread; ++j) f(i0 + i, j0 + j, sum_[i][j]);
    }

  private:
    __device__ static void load(const T* from, T* to) {
#pragma unroll
        for (int v = 0; v < per_thread / Vector<T>::size; ++v) {
            const auto vector = reinterpret_cast<const Vector<T>*>(from)[v];
#pragma unroll
            for (int e = 0; e < Vector<T>::size; ++e) to[v * Vector<T>::size + e] = vector.element[e];
        }
    }

    __device__ void multiply(const T* a, const T* b) {
        a += threadIdx.x / (edge / per_thread) * per_thread;
        b += threadIdx.x % (edge / per_thread) * per_thread;
#pragma unroll
        for (int k = 0; k < depth; ++k) {
            T ak[per_thread], bk[per_thread];
            load(a + k * pitch, ak);
            load(b + k * pitch, bk);
#pragma unroll
            for (int i = 0; i < per_thread; ++i)
#pragma unroll
                for (int j = 0; j < per_thread; ++j) sum_[i][j] = fma(ak[i], bk[j], sum_[i][j]);
        }
    }

    T sum_[per_thread][per_thread] = {};
};

/// A panel of steps k (`steps` of them) and elements i (`count` of them) in global memory, at data[k k_stride + i
/// i_stride].
template <class T>
struct Panel {
    const T* data;
    Index steps, count, k_stride, i_stride;

    __device__ bool has_vectors() const {
        return i_stride == 1 && k_stride % Vector<T>::size == 0 && reinterpret_cast<std::uintptr_t>(data) % 16 == 0;
    }

    /// Stages steps [k0, k0 + depth) of elements [i0, i0 + edge).
    __device__ void stage(T* to, Index k0, Index i0) const {
        constexpr int edge = Tile<T>::edge, depth = Tile<T>::depth, pitch = Tile<T>::pitch, width = Vector<T>::size;
        if (has_vectors() && i0 + edge <= count) {
            for (int v = static_cast<int>(threadIdx.x); v < depth * edge / width; v += Tile<T>::threads) {
                const int k = v / (edge / width), i = v % (edge / width) * width;
                const bool valid = k0 + k < steps;
                copy_async<16>(to + k * pitch + i, valid ? data + (k0 + k) * k_stride + i0 + i : data, valid);
            }
            return;
        }
        for (int e = static_cast<int>(threadIdx.x); e < depth * edge; e += Tile<T>::threads) {
            // Neighbouring threads take neighbours in global memory.
            const int k = k_stride == 1 ? e % depth : e / edge, i = k_stride == 1 ? e / depth : e % edge;
            const bool valid = k0 + k < steps && i0 + i < count;
            copy_async<sizeof(T)>(to + k * pitch + i, valid ? data + (k0 + k) * k_stride + (i0 + i) * i_stride : data,
                                  valid);
        }
    }
};

}  // namespace curvblas::CURVBLAS_BACKEND
