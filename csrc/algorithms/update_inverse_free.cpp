#include "algorithms/update_inverse_free.h"

#include <vector>

#include "kernels/multiply.h"

namespace curvblas::CURVBLAS_BACKEND {

template <class T>
void update_inverse_free(const Queue& queue, std::span<const UpdateInverseFree<T>> group, InverseFreeRule rule) {
    Index size = 0;
    const auto words = [](const Stack<const T>& K) { return K.batch * K.rows * K.columns; };
    for (const auto& layer : group) size += 2 * (words(layer.K) + words(layer.C));
    if (size == 0) return;
    const auto scratch = queue.template scratch<T>(size);
    T* begin = scratch.get();
    const auto like = [&](const Stack<const T>& K) {
        const Stack<T> own = contiguous_stack(begin, K.rows, K.columns, K.batch);
        begin += words(K);
        return own;
    };

    std::vector<InverseFreeFactor<T>> factors;
    std::vector<Product<T>> curvatures, squares, steps;
    for (const auto& layer : group) {
        const Stack<T> K_H = like(layer.K), K_U = like(layer.K), C_H = like(layer.C), C_U = like(layer.C);
        const auto add = [&](const Stack<const T>& K, const Stack<const T>& A, const Stack<const T>& m,
                             const Stack<T>& H, const Stack<T>& U, const Stack<const T>& other, const Stack<T>& H_other,
                             const Stack<T>& new_K, const Stack<T>& new_m) {
            factors.push_back(
                {K, m, H, U, H, other, read_only(H_other), layer.damping, layer.step, layer.keep, new_K, new_m});
            curvatures.push_back({A, K, H});                      // A K
            squares.push_back({transposed(K), read_only(U), H});  // K^T U
            steps.push_back({K, read_only(new_m), H});            // K m
        };
        add(layer.K, layer.A, layer.K_momentum, K_H, K_U, layer.C, C_H, layer.new_K, layer.new_K_momentum);
        add(layer.C, layer.G, layer.C_momentum, C_H, C_U, layer.K, K_H, layer.new_C, layer.new_C_momentum);
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
