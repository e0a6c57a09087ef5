// Factored Tikhonov damping (Martens and Grosse 2015, section 6.3), for products of any number of factors.
#pragma once

#include <cmath>
#include <span>

#include "core/view.h"
#include "queue.h"

namespace curvblas::CURVBLAS_BACKEND {

constexpr int most_factors = 8;

/// damping_i = (n_i / c) damping^(1/k) for the factors f_1 (x) ... (x) f_k of every product, where n_i = tr f_i / dim
/// f_i and c is the geometric mean of the n_i; for k = 2 it is pi sqrt(damping) and sqrt(damping) / pi with pi =
/// sqrt(n_1 / n_2). Shapes: f_i (batch, dim_i, dim_i); damping and dampings one number a product. Only diagonals are
/// read.
///
/// With `spare_scalars` factors of size 1 x 1 get no damping, unless all are: they are numbers, by whose product
/// damping is divided, and k and c are those of the other factors. A single other factor is then damped exactly.
///
/// All n_i are taken for equal, and no scalar is spared, where any of them is not positive or not finite (a dead layer,
/// a factor that holds NaN), so that a bad factor does not spoil its partners. A damping that is negative or not finite
/// gives NaN: the solvers' status 5. Traces are summed in float64. Cost per product: the sum of dim_i, in flops and
/// words.
template <class T>
struct FactoredDamping {
    int count;
    bool spare_scalars;
    Stack<const T> factors[most_factors];
    const double* damping;
    double* dampings[most_factors];
};

template <class T>
void factored_damping(const Queue& queue, std::span<const FactoredDamping<T>> group);

/// The arithmetic for product b, from the means of the diagonals.
template <class T>
CURVBLAS_DEVICE void split_damping(const FactoredDamping<T>& task, Index b, const double* means) {
    double damping = task.damping[b], logarithms = 0;
    if (!(damping >= 0 && damping * 0 == 0)) damping = NAN;
    const double all = pow(damping, 1.0 / task.count);
    bool usable = true;
    int damped = 0;
    const auto is_spared = [&](int i) { return task.spare_scalars && task.factors[i].rows == 1; };
    double others = damping;
    for (int i = 0; i < task.count; ++i) {
        usable = usable && means[i] > 0 && means[i] * 0 == 0;
        if (is_spared(i))
            others /= means[i];
        else
            logarithms += log(means[i]), ++damped;
    }
    const bool spares = damped > 0 && damped < task.count;
    if (!spares) others = damping;
    // Two are by far the most usual: roots instead of logarithms.
    const bool pair = task.count == 2 && !spares;
    for (int i = 0; i < task.count; ++i) {
        double& own = task.dampings[i][b];
        if (!usable)
            own = pair ? sqrt(damping) : all;
        else if (spares && is_spared(i))
            own = damping * 0;  // NaN stays
        else if (pair)
            own = sqrt(damping) * sqrt(means[i] / means[1 - i]);
        else if (damped == 0)
            own = all;
        else
            own = exp(log(means[i]) - logarithms / damped) * pow(others, 1.0 / damped);
    }
}

}  // namespace curvblas::CURVBLAS_BACKEND
