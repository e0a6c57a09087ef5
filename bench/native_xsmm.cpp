// LIBXSMM: two kernels generated for the size, a loop over threads.
#include <libxsmm.h>

#include <vector>

#include "native.h"

namespace {

auto kernel(float one, int m, int n, int k) {
    const float zero = 0;
    return libxsmm_smmdispatch(m, n, k, nullptr, nullptr, nullptr, &one, &zero, nullptr, nullptr);
}

auto kernel(double one, int m, int n, int k) {
    const double zero = 0;
    return libxsmm_dmmdispatch(m, n, k, nullptr, nullptr, nullptr, &one, &zero, nullptr, nullptr);
}

/// P^T = A^T (V^T G^T) for equal matrices: LIBXSMM is column-major. Returns 1 where it has no such kernel.
template <class T>
int product(int threads, int count, int m, int n, const T* const* V, const T* const* A, const T* const* G,
            T* const* P) {
    libxsmm_init();
    const auto first = kernel(T(1), n, m, m), second = kernel(T(1), n, m, n);
    if (!first || !second) return 1;
    on_threads(threads, 0, count, false, [&](int i) {
        static thread_local std::vector<T> GV;
        if (GV.size() < (std::size_t)m * n) GV.resize((std::size_t)m * n);
        first(V[i], G[i], GV.data());
        second(A[i], GV.data(), P[i]);
    });
    return 0;
}

}  // namespace

extern "C" int xsmm_product_of_real(int threads, int count, int m, int n, const REAL* const* V, const REAL* const* A,
                                    const REAL* const* G, REAL* const* P) {
    return product(threads, count, m, n, V, A, G, P);
}
