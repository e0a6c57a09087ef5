#include "algorithms/update_inverse_free.h"

#include <vector>

#include "kernels/multiply.h"

namespace curvblas::CURVBLAS_BACKEND {

template <class T>
void update_inverse_free(const Queue& queue, std::span<const UpdateInverseFree<T>> group, InverseFreeRule rule) {
    Index size = 0;
    const auto words = [](const Stack<T>& K) { return K.batch * K.rows * K.columns; };
    for (const auto& layer : group) size += 2 * (words(layer.K) + words(layer.C));
    if (size == 0) return;
    const auto scratch = queue.template scratch<T>(size);
    T* begin = scratch.get();
    const auto like = [&](const Stack<T>& K) {
        const Stack<T> own = contiguous_stack(begin, K.rows, K.columns, K.batch);
        begin += words(K);
        return own;
    };

    std::vector<InverseFreeFactor<T>> factors;
    std::vector<Product<T>> curvatures, squares, steps;
    for (const auto& layer : group) {
        const Stack<T> K_H = like(layer.K), K_U = like(layer.K), C_H = like(layer.C), C_U = like(layer.C);
        const auto add = [&](const Stack<T>& K, const Stack<const T>& A, const Stack<T>& m, const Stack<T>& H,
                             const Stack<T>& U, const Stack<T>& other, const Stack<T>& H_other) {
            factors.push_back(
                {K, m, H, U, H, read_only(other), read_only(H_other), layer.damping, layer.step, layer.keep});
            curvatures.push_back({A, read_only(K), H});                      // A K
            squares.push_back({read_only(transposed(K)), read_only(U), H});  // K^T U
            steps.push_back({read_only(K), read_only(m), H});                // K m
        };
        add(layer.K, layer.A, layer.K_momentum, K_H, K_U, layer.C, C_H);
        add(layer.C, layer.G, layer.C_momentum, C_H, C_U, layer.K, K_H);
    }
    multiply<T>(queue, curvatures);
    combine_curvature<T>(queue, factors, rule);
    multiply<T>(queue, squares);
    update_momentum<T>(queue, factors);
    multiply<T>(queue, steps);
    apply_momentum<T>(queue, factors);
}

template void update_inverse_free(const Queue&, std::span<const UpdateInverseFree<float>>, InverseFreeRule);
template void update_inverse_free(const Queue&, std::span<const UpdateInverseFree<double>>, InverseFreeRule);

}  // namespace curvblas::CURVBLAS_BACKEND
