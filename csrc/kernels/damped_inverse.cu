#include "kernels/damped_inverse.h"

#include <vector>

#include "cuda/vendor_blas.h"
#include "kernels/damped_inverse_solver.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr std::size_t most_shared_workspace = 100 << 10;
// From here on a whole device is worth the launches: the vendor's library factorises, a matrix at a time.
constexpr Index large = 512;

/// One matrix, and where its scratch begins: three vectors of doubles, then the workspace unless that fits into shared
/// memory.
struct Block {
    int task, b;
    Index scratch;  // in doubles
    int prepared;   // which of the Prepared is its own, or -1
};

template <class T>
CURVBLAS_DEVICE constexpr bool workspace_is_shared(Index n, bool ladder) {
    const std::size_t word = ladder ? sizeof(double) : sizeof(T);
    return static_cast<std::size_t>(BlockedMatrix<T>::words(n)) * word <= most_shared_workspace;
}

/// The lower triangle of C + damping I, in the layout of a BlockedMatrix: a block a row.
template <class T>
__global__ void load_shifted(const DampedInverse<T>* tasks, int task, int b, T* A, Index ld) {
    const Matrix<const T> C = tasks[task].C[b];
    const double damping = tasks[task].damping[b];
    const Index i = blockIdx.x;
    for (Index j = threadIdx.x; j <= i; j += inverse_threads)
        A[i * ld + j] = i == j ? static_cast<T>(static_cast<double>(C(i, i)) + damping) : C(i, j);
}

template <class T>
__global__ void sum_logarithms(const T* L, Index n, Index ld, const int* minor, Prepared* prepared) {
    double sum = 0;
    int first_bad = *minor ? *minor : static_cast<int>(n) + 1;
    for (int i = static_cast<int>(threadIdx.x); i < n; i += inverse_threads) {
        const double pivot = static_cast<double>(L[i * ld + i]);
        // The library lets a NaN pass that an overflow made of finite numbers. Written as not(>).
        if (!(pivot > 0) || isinf(pivot)) first_bad = min(first_bad, i + 1);
        sum += 2 * log(pivot);
    }
    sum = block_sum(sum, dynamic_shared<double>());
    first_bad = block_reduce(first_bad, [](int a, int b) { return a < b ? a : b; }, dynamic_shared<int>());
    if (threadIdx.x == 0) *prepared = {sum, first_bad <= n ? first_bad : 0};
}

/// C + damping I in the workspace becomes its inverse, by the vendor's library.
template <class T>
void invert_large(const Queue& queue, const DampedInverse<T>* tasks, const Block& block, Index n, T* A,
                  Prepared* prepared) {
    const Index ld = BlockedMatrix<T>::stride_of(n);
    const auto info = queue.scratch<int>(2);
    launch(load_shifted<T>, dim3(static_cast<unsigned>(n)), dim3(inverse_threads), 0, queue.stream(), tasks, block.task,
           block.b, A, ld);
    vendor_blas::cholesky(queue, n, A, ld, info.get());
    launch(sum_logarithms<T>, dim3(1), dim3(inverse_threads), most_warps * sizeof(double), queue.stream(), A, n, ld,
           info.get(), prepared);
    vendor_blas::invert_from_cholesky(queue, n, A, ld, info.get() + 1);
}

template <class T>
__global__ void __launch_bounds__(inverse_threads, 1)
    invert(const DampedInverse<T>* tasks, const Block* blocks, double* scratch, const Prepared* prepared,
           OnFailure on_failure) {
    const Block block = blocks[blockIdx.x];
    const DampedInverse<T> task = tasks[block.task];
    const Index n = task.C.rows;
    Shared& shared = *dynamic_shared<Shared>();
    double* const vectors = scratch + block.scratch;
    const bool in_shared = workspace_is_shared<T>(n, on_failure == OnFailure::jitter);
    void* const workspace = in_shared ? static_cast<void*>(&shared + 1) : vectors + 3 * n;
    Solver<T> solver(task.C[block.b], shared, vectors, workspace);
    const Report report =
        solver.solve(task.damping[block.b], on_failure, block.prepared < 0 ? nullptr : prepared + block.prepared);
    solver.write(task.X[block.b], report, on_failure);
    if (threadIdx.x > 0) return;
    const InverseReports& reports = task.reports;
    reports.status[block.b] = report.status, reports.minor[block.b] = report.minor;
    reports.jitter[block.b] = report.jitter, reports.residual[block.b] = report.residual;
    reports.log_det[block.b] = report.log_det;
}

}  // namespace

template <class T>
void damped_inverse(const Queue& queue, std::span<const DampedInverse<T>> group, OnFailure on_failure) {
    const bool ladder = on_failure == OnFailure::jitter;
    std::vector<Block> blocks;
    Index size = 0;
    std::size_t workspace = 0;
    int large_ones = 0;
    for (int t = 0; t < static_cast<int>(group.size()); ++t) {
        const Index n = group[t].C.rows, words = BlockedMatrix<T>::words(n);
        const bool in_shared = workspace_is_shared<T>(n, ladder);
        if (in_shared) workspace = max(workspace, words * (ladder ? sizeof(double) : sizeof(T)));
        const bool by_vendor = n >= large && vendor_blas::available();
        for (int b = 0; b < counted(group[t].C.batch); ++b) {
            blocks.push_back({t, b, size, by_vendor ? large_ones++ : -1});
            size += 3 * n + (in_shared ? 0 : words);
        }
    }
    if (blocks.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Block>(blocks));
    const auto scratch = queue.scratch<double>(size);
    const auto prepared = queue.scratch<Prepared>(large_ones);
    for (const Block& block : blocks) {
        const Index n = group[block.task].C.rows;
        if (block.prepared >= 0)
            invert_large(queue, tasks.get(), block, n, reinterpret_cast<T*>(scratch.get() + block.scratch + 3 * n),
                         prepared.get() + block.prepared);
    }
    launch(invert<T>, dim3(grid_for(blocks)), dim3(inverse_threads), sizeof(Shared) + workspace, queue.stream(),
           tasks.get(), table.get(), scratch.get(), prepared.get(), on_failure);
}

template void damped_inverse(const Queue&, std::span<const DampedInverse<float>>, OnFailure);
template void damped_inverse(const Queue&, std::span<const DampedInverse<double>>, OnFailure);

}  // namespace curvblas::CURVBLAS_BACKEND
