#include "kernels/damped_cholesky.h"

#include <vector>

#include "cuda/blocked.cuh"
#include "cuda/symmetric.cuh"
#include "cuda/vendor_blas.h"
#include "kernels/jitter_ladder.h"
#include "kernels/power_of_two.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr int cholesky_threads = 256;
constexpr std::size_t most_shared_workspace = 100 << 10;
// From here on a whole device is worth the launches: the vendor's library factorises, a matrix at a time.
constexpr Index large = 512;
constexpr double lost_digits = 1e-3;  // a relative error of a pivot above which float64 is worth its time
template <class T>
constexpr double epsilon = sizeof(T) == 4 ? 0x1p-23 : 0x1p-52;

/// One matrix, and where its workspace begins unless that fits into shared memory.
struct Block {
    int task, b;
    Index scratch;  // in doubles
    int prepared;   // which entry of the vendor's verdicts is its own, or -1
};

struct CholeskyReport {
    Status status;
    double jitter, log_det;
    int minor;
};
__device__ CholeskyReport failed(Status status, int minor = 0) { return {status, NAN, NAN, minor}; }

/// What all blocks keep in shared memory before the workspace.
struct alignas(16) Shared {
    double staging[BlockedMatrix<double>::staging];
    double reduction[most_warps];
    int verdict;
};

template <class T>
CURVBLAS_DEVICE constexpr bool workspace_is_shared(Index n, bool ladder) {
    const std::size_t word = ladder ? sizeof(double) : sizeof(T);
    return static_cast<std::size_t>(BlockedMatrix<T>::words(n)) * word <= most_shared_workspace;
}

/// One matrix of a task, factorised by one block of threads. Every method is called by all of them.
template <class T>
class Factoriser {
  public:
    __device__ Factoriser(const Matrix<const T>& C, double damping, Shared& shared, void* workspace)
        : C_(C), n_(static_cast<int>(C.rows)), damping_(damping), shared_(shared), workspace_(workspace) {
        const auto larger = [](double a, double b) { return a > b ? a : b; };
        half_exponent_ = half_exponent_of(reduce_diagonal(C, damping, larger, shared.reduction));
    }

    /// `prepared` is null, or points to the vendor's verdict on the factor in T that the workspace holds already.
    __device__ CholeskyReport factorise(OnFailure on_failure, const int* prepared) {
        if (const int row = first_row_not_finite(C_, reinterpret_cast<int*>(shared_.reduction)))
            return failed(Status::not_finite, row);
        if (!(damping_ >= 0) || isinf(damping_)) return failed(Status::invalid_parameter);
        CholeskyReport report = prepared ? adopt(*prepared) : attempt<T>(0);
        const bool settled = report.status == Status::ok && smallest_pivot_ * lost_digits >= epsilon<T>;
        if (on_failure != OnFailure::jitter || settled) return report;
        const CholeskyReport first = report;
        if constexpr (sizeof(T) == 4) report = attempt<double>(0);
        if (report.status == Status::not_positive_definite) report = climb(report);
        // The minor that a caller is told is that of the matrix as it came.
        if (report.status == Status::not_positive_definite && first.minor) report.minor = first.minor;
        return report;
    }

    __device__ void write(const Matrix<T>& L, const CholeskyReport& report, OnFailure on_failure) const {
        const bool usable = report.status <= Status::jittered;
        if (!usable && on_failure == OnFailure::keep) return;
        for_each_element(n_, [&](int i, int j) { L(i, j) = !usable ? T(NAN) : j > i ? T(0) : unscaled(at(i, j)); });
    }

    /// C + damping I, scaled, in the layout of a BlockedMatrix.
    template <class W>
    __device__ void load(const BlockedMatrix<W>& A, double jitter) const {
        for_each_element(A.order(), [&](int i, int j) {
            const double c = i >= n_ ? 0 : i == j ? shifted(i, jitter) : j < i ? scaled(i, j) : 0;
            A(i, j) = static_cast<W>(i >= n_ && i == j ? 1 : c);
        });
        __syncthreads();
    }
    template <class W>
    __device__ BlockedMatrix<W> matrix() const {
        return {static_cast<W*>(workspace_), reinterpret_cast<W*>(shared_.staging), n_};
    }

  private:
    __device__ double scaled(int i, int j) const {
        return static_cast<double>(C_(i, j)) * power_of_two(-2 * half_exponent_);
    }
    __device__ double shifted(int i, double jitter) const {
        return scaled(i, i) + (damping_ + jitter) * power_of_two(-2 * half_exponent_);
    }
    __device__ T unscaled(double x) const { return static_cast<T>(x * power_of_two(half_exponent_)); }
    __device__ double at(int i, int j) const {
        return in_double_ ? matrix<double>()(i, j) : static_cast<double>(matrix<T>()(i, j));
    }

    __device__ CholeskyReport climb(CholeskyReport report) {
        const auto add = [](double a, double b) { return a + b; };
        JitterLadder ladder(n_, epsilon<T>, reduce_diagonal(C_, 0.0, add, shared_.reduction), damping_);
        while (ladder.has_next() && report.status == Status::not_positive_definite)
            report = attempt<double>(ladder.next());
        return report;
    }

    /// Factorises C + (damping + jitter) I, scaled, in the precision of W; the factor stays in the workspace.
    template <class W>
    __device__ CholeskyReport attempt(double jitter) {
        in_double_ = sizeof(W) == 8;
        BlockedMatrix<W> A = matrix<W>();
        load(A, jitter);
        double unused = 0;
        if (const int minor = A.factor(&shared_.verdict, unused)) return failed(Status::not_positive_definite, minor);
        return assessed(jitter);
    }
    __device__ CholeskyReport adopt(int minor) {
        in_double_ = sizeof(T) == 8;
        return minor ? failed(Status::not_positive_definite, minor) : assessed(0);
    }

    /// The report of the factor that lies in the workspace.
    __device__ CholeskyReport assessed(double jitter) {
        double sum = 0, ratio = 1;
        int first_bad = n_, first_lost = n_;
        __syncthreads();
        for (int i = static_cast<int>(threadIdx.x); i < n_; i += cholesky_threads) {
            const double root = at(i, i);
            // The vendor's library lets a NaN pass that an overflow made of finite numbers. Written as not(>).
            if (!(root > 0) || isinf(root)) first_bad = min(first_bad, i);
            if (!(unscaled(root) > T(0))) first_lost = min(first_lost, i);
            sum += log(root);
            ratio = fmin(ratio, root * root / shifted(i, jitter));
        }
        const auto smaller = [](auto a, auto b) { return a < b ? a : b; };
        sum = block_sum(sum, shared_.reduction);
        smallest_pivot_ = block_reduce(ratio, smaller, shared_.reduction);
        first_bad = block_reduce(first_bad, smaller, reinterpret_cast<int*>(shared_.reduction));
        first_lost = block_reduce(first_lost, smaller, reinterpret_cast<int*>(shared_.reduction));
        if (first_bad < n_) return failed(Status::not_positive_definite, first_bad + 1);
        if (first_lost < n_) return failed(Status::inaccurate);
        const double log_det = 2 * sum + 2 * static_cast<double>(n_) * half_exponent_ * log(2.0);
        return {jitter > 0 ? Status::jittered : Status::ok, jitter, log_det, 0};
    }

    const Matrix<const T> C_;
    const int n_;
    const double damping_;
    Shared& shared_;
    void* workspace_;
    int half_exponent_;
    double smallest_pivot_ = 1;  // relative to what its diagonal element was
    bool in_double_ = false;
};

/// Loads the matrices that the vendor's library factorises.
template <class T>
__global__ void __launch_bounds__(cholesky_threads)
    load_damped(const DampedCholesky<T>* tasks, const Block* blocks, double* scratch) {
    const Block block = blocks[blockIdx.x];
    if (block.prepared < 0) return;
    const DampedCholesky<T> task = tasks[block.task];
    const Factoriser<T> factoriser(task.C[block.b], task.damping[block.b], *dynamic_shared<Shared>(),
                                   scratch + block.scratch);
    factoriser.load(factoriser.template matrix<T>(), 0);
}

template <class T>
__global__ void __launch_bounds__(cholesky_threads, 1)
    factorise(const DampedCholesky<T>* tasks, const Block* blocks, double* scratch, const int* prepared,
              OnFailure on_failure) {
    const Block block = blocks[blockIdx.x];
    const DampedCholesky<T> task = tasks[block.task];
    Shared& shared = *dynamic_shared<Shared>();
    const bool in_shared = workspace_is_shared<T>(task.C.rows, on_failure == OnFailure::jitter);
    void* const workspace = in_shared ? static_cast<void*>(&shared + 1) : scratch + block.scratch;
    Factoriser<T> factoriser(task.C[block.b], task.damping[block.b], shared, workspace);
    const CholeskyReport report =
        factoriser.factorise(on_failure, block.prepared < 0 ? nullptr : prepared + block.prepared);
    factoriser.write(task.L[block.b], report, on_failure);
    if (threadIdx.x > 0) return;
    task.reports.status[block.b] = report.status, task.reports.minor[block.b] = report.minor;
    task.reports.jitter[block.b] = report.jitter, task.reports.log_det[block.b] = report.log_det;
}

}  // namespace

template <class T>
void damped_cholesky(const Queue& queue, std::span<const DampedCholesky<T>> group, OnFailure on_failure) {
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
            size += in_shared ? 0 : words;
        }
    }
    if (blocks.empty()) return;
    const auto tasks = queue.copy_of(group);
    const auto table = queue.copy_of(std::span<const Block>(blocks));
    const auto scratch = queue.scratch<double>(size);
    const auto prepared = queue.scratch<int>(large_ones);
    const dim3 grid(grid_for(blocks)), threads(cholesky_threads);
    if (large_ones)
        launch(load_damped<T>, grid, threads, sizeof(Shared), queue.stream(), tasks.get(), table.get(), scratch.get());
    for (const Block& block : blocks) {
        if (block.prepared < 0) continue;
        const Index n = group[block.task].C.rows;
        vendor_blas::cholesky(queue, n, reinterpret_cast<T*>(scratch.get() + block.scratch),
                              BlockedMatrix<T>::stride_of(n), prepared.get() + block.prepared);
    }
    launch(factorise<T>, grid, threads, sizeof(Shared) + workspace, queue.stream(), tasks.get(), table.get(),
           scratch.get(), prepared.get(), on_failure);
}

template void damped_cholesky(const Queue&, std::span<const DampedCholesky<float>>, OnFailure);
template void damped_cholesky(const Queue&, std::span<const DampedCholesky<double>>, OnFailure);

}  // namespace curvblas::CURVBLAS_BACKEND
