#include "algorithms/simple_natural_gradient.h"

#include <algorithm>
#include <vector>

#include "algorithms/workspace.h"
#include "core/status.h"
#include "kernels/damped_inverse.h"
#include "kernels/gram.h"
#include "kernels/multiply.h"
#include "kernels/simple_natural_gradient.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

/// One matrix of a task.
template <class T>
struct Minibatch {
    Matrix<const T> X;
    Matrix<T> X_hat;

    bool is_wide() const { return X.rows <= X.columns; }
    Index order() const { return std::min(X.rows, X.columns); }
};

}  // namespace

template <class T>
void simple_natural_gradient(const Queue& queue, std::span<const SimpleNaturalGradient<T>> group, double alpha) {
    std::vector<Minibatch<T>> batches;
    Index squares = 0, rows = 0;
    for (const auto& [X, X_hat] : group)
        for (Index b = 0; b < X.batch; ++b) {
            batches.push_back({X[b], X_hat[b]});
            squares += batches.back().order() * batches.back().order(), rows += X.rows;
        }
    const Index count = static_cast<Index>(batches.size());
    Workspace<double> numbers(queue, 2 * squares + 2 * rows + 5 * count);
    Workspace<T> rounded(queue, squares);
    const auto status = queue.template scratch<Status>(count);
    const auto minor = queue.template scratch<Index>(count);

    std::vector<Gram<T>> grams;
    std::vector<SimpleShift> shifts;
    std::vector<DampedInverse<double>> inverses;
    std::vector<SimpleRound<T>> rounds;
    std::vector<Product<T>> products;
    std::vector<SimpleRows<T>> others;
    std::vector<SimpleGain<T>> gains;
    for (Index k = 0; k < count; ++k) {
        const Minibatch<T>& batch = batches[static_cast<std::size_t>(k)];
        const Index N = batch.X.rows, n = batch.order();
        const Matrix<double> K = numbers.take(n, n), M = numbers.take(n, n);
        const Matrix<T> own = rounded.take(n, n);
        double *const shift = numbers.take(2), *const reports = numbers.take(3), *const sums = numbers.take(2 * N);
        const Stack<const T> X = as_stack(batch.X);
        grams.push_back({batch.is_wide() ? X : transposed(X), {}, as_stack(K), {}});
        shifts.push_back({read_only(K), N, batch.X.columns, alpha, shift});
        inverses.push_back(
            {as_stack(read_only(K)), shift, as_stack(M), {&status[k], reports, reports + 1, reports + 2, &minor[k]}});
        rounds.push_back({read_only(M), shift, own});
        products.push_back(batch.is_wide() ? Product<T>{as_stack(read_only(own)), X, as_stack(batch.X_hat)}
                                           : Product<T>{X, as_stack(read_only(own)), as_stack(batch.X_hat)});
        others.push_back({batch.X, batch.is_wide() ? read_only(M) : Matrix<const double>{}, shift, batch.X_hat, sums});
        gains.push_back({batch.X_hat, shift, sums, &status[k]});
    }
    gram<T>(queue, grams);
    simple_shift(queue, shifts);
    damped_inverse<double>(queue, inverses, OnFailure::jitter);
    simple_round<T>(queue, rounds);
    multiply<T>(queue, products);
    simple_rows<T>(queue, others);
    simple_gain<T>(queue, gains);
}

template void simple_natural_gradient(const Queue&, std::span<const SimpleNaturalGradient<float>>, double);
template void simple_natural_gradient(const Queue&, std::span<const SimpleNaturalGradient<double>>, double);

}  // namespace curvblas::CURVBLAS_BACKEND
