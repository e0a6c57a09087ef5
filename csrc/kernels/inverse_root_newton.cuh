// The coupled Newton iteration of inverse_root.h on a device: all matrices step together, those that are done skip
// their work, and nothing waits to see whether one is.
#pragma once

#include "cuda/blocked.cuh"
#include "kernels/inverse_root.cuh"

namespace curvblas::CURVBLAS_BACKEND {

/// Where the matrices of the iteration lie; X, M and the powers of N alternate between two slots.
enum NewtonSlot { newton_X, newton_M = 2, newton_power = 4, newton_A = 6, newton_slots = 7, newton_result = newton_M };

/// A is kept in the layout of a BlockedMatrix, for its Cholesky factor.
constexpr Index words_of_A(Index n) { return BlockedMatrix<double>::words(n); }

/// What the kernels below keep in shared memory.
struct alignas(16) NewtonShared {
    double staging[BlockedMatrix<double>::staging];
    double reduction[most_warps];
    int verdict;
};

/// A, scaled to 1; X = z^(1/p) I and M = z A.
template <class T>
__global__ void __launch_bounds__(root_threads, 1)
    start_newton(const InverseRoot<T>* tasks, const Problem* problems, double* memory, RootState* states, Index p) {
    const Problem& problem = problems[blockIdx.x];
    const InverseRoot<T> task = tasks[problem.task];
    const Matrix<const T> C = task.C[problem.b];
    const double damping = task.damping[problem.b];
    const int n = static_cast<int>(problem.n);
    double* const shared = dynamic_shared<NewtonShared>()->reduction;
    const int bad_row = first_row_not_finite(C, reinterpret_cast<int*>(shared));
    const bool is_valid = damping >= 0 && !isinf(damping);
    double largest = damping;
    for_each_element(n, [&](int i, int j) {
        if (j <= i) largest = fmax(largest, fabs(static_cast<double>(C(i, j))));
    });
    largest = block_reduce(largest, [](double a, double b) { return fmax(a, b); }, shared);
    const double scale = largest > 0 ? fmin(1 / largest, 1e300) : 1;
    const auto element = [&](int i, int j) {
        const double c = static_cast<double>(i < j ? C(j, i) : C(i, j));
        return (i == j ? c + damping : c) * scale;
    };
    double squares = 0;
    for_each_element(n, [&](int i, int j) { squares = fma(element(i, j), element(i, j), squares); });
    const double z = static_cast<double>(p + 1) / (2 * sqrt(block_sum(squares, shared)));
    const double root = pow(z, 1 / static_cast<double>(p));
    for_each_element(n, [&](int i, int j) {
        memory[problem.slot[newton_M] + Index{i} * n + j] = z * element(i, j);
        memory[problem.slot[newton_X] + Index{i} * n + j] = i == j ? root : 0;
    });
    const BlockedMatrix<double> A(memory + problem.slot[newton_A], dynamic_shared<NewtonShared>()->staging, n);
    for_each_element(A.order(), [&](int i, int j) { A(i, j) = i < n && j < n ? element(i, j) : i == j ? 1 : 0; });
    if (threadIdx.x > 0) return;
    const Status status = bad_row                 ? Status::not_finite
                          : !is_valid             ? Status::invalid_parameter
                          : n > 0 && largest == 0 ? Status::not_positive_definite
                                                  : Status::ok;
    states[blockIdx.x] = {scale, INFINITY, newton_X, n == 0 || status != Status::ok ? 1 : 0, static_cast<int>(status)};
}

/// N = (1 + 1/p) I - M / p, where its powers begin.
__global__ void __launch_bounds__(root_threads)
    form_step(const Problem* problems, double* memory, const RootState* states, Index p, int M) {
    const Problem& problem = problems[blockIdx.x];
    if (states[blockIdx.x].done) return;
    const Index n = problem.n;
    const double inverse = 1 / static_cast<double>(p);
    for_each_element(static_cast<int>(n), [&](int i, int j) {
        memory[problem.slot[newton_power] + i * n + j] =
            (i == j ? 1 + inverse : 0) - inverse * memory[problem.slot[M] + i * n + j];
    });
}

/// Whether to go on: what coupled_newton.h does on the CPU.
__global__ void __launch_bounds__(root_threads)
    check_newton(const Problem* problems, const double* memory, RootState* states, int X, int M, bool last) {
    const Problem& problem = problems[blockIdx.x];
    RootState state = states[blockIdx.x];
    if (state.done) return;
    const Index n = problem.n;
    double error = 0;
    for_each_element(static_cast<int>(n), [&](int i, int j) {
        error = larger(fabs(memory[problem.slot[M] + i * n + j] - (i == j ? 1 : 0)), error);
    });
    error = block_reduce(error, [](double a, double b) { return larger(a, b); }, dynamic_shared<double>());
    // Near the end it falls by squares: what falls by less is rounding. Written as not(<=) so that NaN ends it.
    const bool falls = error <= 1.2 * state.error && (error > 1e-2 || error <= state.error / 2);
    state.done = error <= 4 * 0x1p-52 || !falls || last ? 1 : 0;
    state.error = error, state.which = X;
    if (threadIdx.x == 0) states[blockIdx.x] = state;
}

/// The status of each iteration, and its X in the scale of C.
template <class T>
__global__ void __launch_bounds__(root_threads, 1)
    end_newton(const InverseRoot<T>* tasks, const Problem* problems, double* memory, const RootState* states, Index p) {
    const Problem& problem = problems[blockIdx.x];
    const RootState state = states[blockIdx.x];
    NewtonShared& shared = *dynamic_shared<NewtonShared>();
    const Index n = problem.n;
    auto status = static_cast<Status>(state.status);
    if (status == Status::ok && n > 0 && !(state.error <= 1e-2)) {
        BlockedMatrix<double> A(memory + problem.slot[newton_A], shared.staging, static_cast<int>(n));
        double log_det = 0;
        status = A.factor(&shared.verdict, log_det) ? Status::not_positive_definite : Status::no_convergence;
    }
    if (threadIdx.x == 0) tasks[problem.task].reports.status[problem.b] = status;
    if (status != Status::ok) return;
    const double back = pow(state.scale, 1 / static_cast<double>(p));
    for_each_element(static_cast<int>(n), [&](int i, int j) {
        memory[problem.slot[newton_result] + i * n + j] = back * memory[problem.slot[state.which] + i * n + j];
    });
}

/// multiply(states, a, b, to) queues the product of two slots for all that are not done.
template <class T, class Multiply>
void iterate_newton(const Queue& queue, const InverseRoot<T>* tasks, const Problem* problems, dim3 each, double* memory,
                    Index p, const Multiply& multiply) {
    const auto states = queue.scratch<RootState>(each.x);
    const dim3 threads(root_threads);
    launch(start_newton<T>, each, threads, sizeof(NewtonShared), queue.stream(), tasks, problems, memory, states.get(),
           p);
    int X = newton_X, M = newton_M;
    const auto check = [&](bool last) {
        launch(check_newton, each, threads, most_warps * sizeof(double), queue.stream(), problems, memory, states.get(),
               X, M, last);
    };
    const auto other = [](int slot) { return slot ^ 1; };
    check(false);
    constexpr int most_iterations = 100;
    for (int k = 1; k <= most_iterations; ++k) {
        int power = newton_power;
        launch(form_step, each, threads, 0, queue.stream(), problems, memory, states.get(), p, M);
        multiply(states.get(), X, power, other(X));
        X = other(X);
        for (Index rest = p; rest > 0; rest /= 2) {
            if (rest % 2) multiply(states.get(), M, power, other(M)), M = other(M);
            if (rest == 1) break;
            multiply(states.get(), power, power, other(power));
            power = other(power);
        }
        check(k == most_iterations);
    }
    launch(end_newton<T>, each, threads, sizeof(NewtonShared), queue.stream(), tasks, problems, memory, states.get(),
           p);
}

}  // namespace curvblas::CURVBLAS_BACKEND
