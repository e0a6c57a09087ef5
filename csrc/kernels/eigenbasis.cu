#include "kernels/eigenbasis.h"

#include <algorithm>
#include <vector>

#include "cuda/vendor_blas.h"
#include "kernels/eigenbasis_jacobi.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr std::size_t most_shared_workspace = 100 << 10;
// From here on the vendor's library takes one matrix at a time; without it, one block of threads in global memory.
constexpr Index large = 128;

/// One matrix. Where in scratch its vectors of doubles begin, and its workspace, unless that fits into shared memory.
struct Job {
    int task, b;
    Index vectors, workspace;  // in doubles
};

/// What the kernels around the vendor's library tell each other.
struct Prepared {
    Scale scale;
    int finite;
};

template <class T>
CURVBLAS_DEVICE Index workspace_bytes(const Eigenbasis<T>& task) {
    return Jacobi<T>::words(task.C.rows, task.warm_start.data != nullptr) * static_cast<Index>(sizeof(T));
}
template <class T>
CURVBLAS_DEVICE bool workspace_is_shared(const Eigenbasis<T>& task) {
    return workspace_bytes(task) <= static_cast<Index>(most_shared_workspace);
}

template <class T>
__global__ void __launch_bounds__(eigen_threads)
    decompose(const Eigenbasis<T>* tasks, const Job* jobs, double* scratch) {
    const Job job = jobs[blockIdx.x];
    const Eigenbasis<T> task = tasks[job.task];
    const Matrix<const T> C = task.C[job.b];
    double* const reduction = dynamic_shared<double>();
    T* const workspace =
        reinterpret_cast<T*>(workspace_is_shared(task) ? reduction + most_warps : scratch + job.workspace);
    const double largest = largest_magnitude(C, reduction);
    const bool finite = isfinite(largest);
    const Scale scale = Scale::to_one(finite ? largest : 0);
    Jacobi<T> jacobi(C, scale, workspace, reduction);
    Status status = finite ? Status::ok : Status::not_finite;
    if (finite) {
        if (task.warm_start.data == nullptr || !jacobi.load(task.warm_start[job.b])) jacobi.load();
        if (!jacobi.diagonalise()) status = Status::no_convergence;
    } else {
        jacobi.load_nothing();
    }
    write_results(task, job.b, scale, jacobi.values(), jacobi.values_stride(), jacobi.vectors(), jacobi.ld(),
                  status == Status::ok);
    assess(task, job.b, scale, status, scratch + job.vectors, reduction);
}

template <class T>
__global__ void prepare(const Eigenbasis<T>* tasks, Job job, Prepared* prepared) {
    const double largest = largest_magnitude(tasks[job.task].C[job.b], dynamic_shared<double>());
    const bool finite = isfinite(largest);
    if (threadIdx.x == 0) *prepared = {Scale::to_one(finite ? largest : 0), finite};
}

/// The scaled matrix, a block a row; zero where it is not finite, which no library should see.
template <class T>
__global__ void load_scaled(const Eigenbasis<T>* tasks, Job job, const Prepared* prepared, T* A) {
    const Matrix<const T> C = tasks[job.task].C[job.b];
    const Index n = C.rows, i = blockIdx.x;
    for (Index j = threadIdx.x; j < n; j += blockDim.x)
        A[i * n + j] = prepared->finite ? static_cast<T>(scaled(C, prepared->scale, i, j)) : T(0);
}

template <class T>
__global__ void __launch_bounds__(eigen_threads, 1)
    finish(const Eigenbasis<T>* tasks, Job job, const Prepared* prepared, const T* values, const T* Vt,
           const int* failed, double* vectors) {
    const Eigenbasis<T> task = tasks[job.task];
    const Status status = !prepared->finite ? Status::not_finite : *failed ? Status::no_convergence : Status::ok;
    write_results(task, job.b, prepared->scale, values, 1, Vt, task.C.rows, status == Status::ok);
    assess(task, job.b, prepared->scale, status, vectors, dynamic_shared<double>());
}

template <class T>
void decompose_large(const Queue& queue, const Eigenbasis<T>* tasks, const Job& job, Index n) {
    const auto A = queue.scratch<T>(n * n), values = queue.scratch<T>(n);
    const auto vectors = queue.scratch<double>(2 * n);
    const auto prepared = queue.scratch<Prepared>(1);
    const auto failed = queue.scratch<int>(1);
    const dim3 one(1), threads(eigen_threads);
    const std::size_t shared = most_warps * sizeof(double);
    launch(prepare<T>, one, threads, shared, queue.stream(), tasks, job, prepared.get());
    launch(load_scaled<T>, dim3(static_cast<unsigned>(n)), threads, 0, queue.stream(), tasks, job, prepared.get(),
           A.get());
    vendor_blas::symmetric_eigen(queue, n, A.get(), values.get(), failed.get());
    launch(finish<T>, one, threads, shared, queue.stream(), tasks, job, prepared.get(), values.get(), A.get(),
           failed.get(), vectors.get());
}

/// The jobs of matrices that get the same number of threads, in one launch.
struct Class {
    unsigned threads;
    Index most;  // of the order
    std::vector<Job> jobs;
    std::size_t shared_workspace = 0;
};

}  // namespace

template <class T>
void eigenbasis(const Queue& queue, std::span<const Eigenbasis<T>> group) {
    // A small matrix has fewer pairs of elements to rotate than a large block has threads.
    Class classes[] = {{32, 16, {}}, {128, 32, {}}, {eigen_threads, Index{1} << 31, {}}};
    std::vector<Job> large_jobs;
    Index size = 0;
    for (int t = 0; t < static_cast<int>(group.size()); ++t) {
        const Eigenbasis<T>& task = group[t];
        const Index n = task.C.rows, bytes = workspace_bytes(task);
        const bool by_vendor = n >= large && vendor_blas::available(), in_shared = workspace_is_shared(task);
        Class& own = *std::find_if(classes, classes + 2, [&](const Class& c) { return n <= c.most; });
        if (!by_vendor && in_shared) own.shared_workspace = max(own.shared_workspace, static_cast<std::size_t>(bytes));
        for (int b = 0; b < counted(task.C.batch); ++b) {
            if (by_vendor) {
                large_jobs.push_back({t, b, 0, 0});
                continue;
            }
            own.jobs.push_back({t, b, size, size + 2 * n});
            size += 2 * n + (in_shared ? 0 : (bytes + 7) / 8);
        }
    }
    const auto tasks = queue.copy_of(group);
    for (const Job& job : large_jobs) decompose_large<T>(queue, tasks.get(), job, group[job.task].C.rows);
    const auto scratch = queue.scratch<double>(size);
    for (const Class& own : classes) {
        if (own.jobs.empty()) continue;
        const auto table = queue.copy_of(std::span<const Job>(own.jobs));
        launch(decompose<T>, dim3(grid_for(own.jobs)), dim3(own.threads),
               most_warps * sizeof(double) + own.shared_workspace, queue.stream(), tasks.get(), table.get(),
               scratch.get());
    }
}

template void eigenbasis(const Queue&, std::span<const Eigenbasis<float>>);
template void eigenbasis(const Queue&, std::span<const Eigenbasis<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
