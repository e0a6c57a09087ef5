#include "kernels/multiply.h"

#include <vector>

#include "cuda/tile.cuh"
#include "cuda/vendor_blas.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

/// One tile of one product: rows from 64 i, columns from 64 j.
struct Block {
    int task, b, i, j;
};

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    multiply_tiles(const Product<T>* tasks, const Block* blocks) {
    const Block block = blocks[blockIdx.x];
    const Product<T>& product = tasks[block.task];
    const Matrix<const T> A = product.A[block.b], B = product.B[block.b];
    const Matrix<T> C = product.C[block.b];
    const Index i0 = Index{block.i} * Tile<T>::edge, j0 = Index{block.j} * Tile<T>::edge;
    const Panel<T> a{A.data, A.columns, A.rows, A.column_stride, A.row_stride};
    const Panel<T> b{B.data, B.rows, B.columns, B.row_stride, B.column_stride};
    Tile<T> tile;
    tile.accumulate(
        A.columns, [&](T* to, Index k0) { a.stage(to, k0, i0); }, [&](T* to, Index k0) { b.stage(to, k0, j0); });
    tile.for_each([&](int di, int dj, T& sum) {
        if (i0 + di < C.rows && j0 + dj < C.columns) C(i0 + di, j0 + dj) = sum;
    });
}

// From here on a single product fills a device, and the vendor's library multiplies.
constexpr Index large = 512;

template <class T>
bool is_for_vendor(const Product<T>& product) {
    return min(product.C.rows, product.C.columns) >= large && vendor_blas::is_blas(product.A[0]) &&
           vendor_blas::is_blas(product.B[0]) && product.C.column_stride == 1 && vendor_blas::is_blas(product.C[0]) &&
           vendor_blas::available();
}

}  // namespace

template <class T>
void multiply(const Queue& queue, std::span<const Product<T>> group) {
    std::vector<Block> blocks;
    for (int t = 0; t < static_cast<int>(group.size()); ++t) {
        const Product<T>& product = group[t];
        if (is_for_vendor(product)) {
            for (Index b = 0; b < product.C.batch; ++b)
                vendor_blas::multiply<T>(queue, product.A[b], product.B[b], product.C[b]);
            continue;
        }
        const auto tiles = [](Index n) { return static_cast<int>((n + Tile<T>::edge - 1) / Tile<T>::edge); };
        for (int b = 0; b < counted(product.C.batch); ++b)
            for (int i = 0; i < tiles(product.C.rows); ++i)
                for (int j = 0; j < tiles(product.C.columns); ++j) blocks.push_back({t, b, i, j});
    }
    if (blocks.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Block>(blocks));
    launch(multiply_tiles<T>, dim3(grid_for(blocks)), dim3(Tile<T>::threads), Tile<T>::shared_bytes, queue.stream(),
           tasks.get(), table.get());
}

template void multiply(const Queue&, std::span<const Product<float>>);
template void multiply(const Queue&, std::span<const Product<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
