// The small work of limited-memory BFGS: what is done with the products of its pairs, one model an element. See
// algorithms/lbfgs.h. What is as long as the vectors is that of gram and low_rank_apply.
#pragma once

#include <cmath>

#include "core/view.h"
#include "kernels/for_each_element.h"
#include "kernels/pairs.h"
#include "queue.h"
#include "small/ordered_cholesky.h"
#include "small/rolled.h"

namespace curvblas::CURVBLAS_BACKEND {

/// Coefficients q of S and Y (2 m a model) and the weight of g for -H g, from P = S g, Y g (2 m a model): H is the BFGS
/// matrix of the pairs that are curved, and in `mask` (no data: all), over scale I, where scale is s.y / y.y of the
/// newest of them, 1 without any, or `initial`. All NaN where a product is not finite, or `initial` not positive and
/// finite. K and P have their pairs in the order of the rows of S and Y.
///
/// With R the upper triangle of S Y^T and D its diagonal: u = R^-1 S g, z = R^-T ((D + scale Y Y^T) u - scale Y g) and
/// H g = scale (g - Y^T u) + S^T z (Byrd, Nocedal and Schnabel 1994, Theorem 2.2).
template <class T>
struct LbfgsCombine {
    Index m, batch;
    const double *ring, *K, *initial;
    Stack<const T> mask;
    const double* P;
    double *q, *weight;

    CURVBLAS_DEVICE Index count() const { return batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const PairRing places{m, ring ? ring + 2 * b : nullptr};
        const PairProducts products{m, const_cast<double*>(K) + b * 4 * m * m};
        const Index first = places.first(), kept = places.kept();
        const double *const Sg = P + b * 2 * m, *const Yg = Sg + m;
        double *const z = q + b * 2 * m, *const u = z + m;
        double scale = given_scale(initial, b), zero = scale * 0;
        CURVBLAS_ROLLED
        for (Index i = 0; i < m; ++i) z[i] = u[i] = 0;
        CURVBLAS_ROLLED
        for (Index i = kept - 1; i >= 0; --i) {
            const Index r = places.row(first, i);
            zero += products.ss(r, r) * 0 + products.yy(r, r) * 0 + Sg[r] * 0 + Yg[r] * 0;
            if (!is_used(products, b, r)) continue;
            if (scale == 0) scale = products.sy(r, r) / products.yy(r, r);
            double sum = Sg[r];
            CURVBLAS_ROLLED
            for (Index j = i + 1; j < kept; ++j) {
                const Index newer = places.row(first, j);
                sum -= u[newer] * products.sy(r, newer);
            }
            u[r] = sum / products.sy(r, r);
        }
        if (scale == 0) scale = 1;
        CURVBLAS_ROLLED
        for (Index i = 0; i < kept; ++i) {
            const Index r = places.row(first, i);
            if (!is_used(products, b, r)) continue;
            double sum = Yg[r], older_sum = 0;
            CURVBLAS_ROLLED
            for (Index j = 0; j < kept; ++j) {
                const Index other = places.row(first, j);
                sum -= u[other] * products.yy(r, other);
                if (j < i) older_sum += z[other] * products.sy(other, r);
            }
            z[r] = u[r] - (scale * sum + older_sum) / products.sy(r, r);
        }
        const bool is_good = zero == 0 && scale > 0;
        CURVBLAS_ROLLED
        for (Index i = 0; i < m; ++i) z[i] = is_good ? -z[i] : NAN, u[i] = is_good ? scale * u[i] : NAN;
        weight[b] = is_good ? -scale : NAN;
    }

  private:
    CURVBLAS_DEVICE bool is_used(const PairProducts& products, Index b, Index r) const {
        if (mask.data && mask[b](0, r) == T(0)) return false;
        return is_curved(products.ss(r, r), products.sy(r, r), products.yy(r, r));
    }
};

/// Powell's damping of new pairs: theta y + (1 - theta) B s where s.y < 0.2 s.B s, as coefficients of S, Y (m each), s
/// and y; y itself elsewhere, and in a memory without pairs. B is that of the memory. All of its pairs are curved.
///
/// B s = sigma s - sigma S^T u - Y^T w with sigma = y.y / s.y of the newest pair, (sigma S S^T + L D^-1 L^T) u = sigma
/// S s + L D^-1 Y s and w = D^-1 (L^T u - Y s), where S Y^T has the diagonal D and L below it (Byrd, Nocedal and
/// Schnabel 1994, Theorems 2.3 and 2.4).
struct LbfgsDamp {
    NewPairs pairs;
    double *base, *ones;

    CURVBLAS_DEVICE static Index words(Index m) { return m * m + 5 * m + 3; }
    CURVBLAS_DEVICE Index count() const { return pairs.batch; }
    CURVBLAS_DEVICE void work(Index b) const {
        const Index m = pairs.m;
        const PairRing places{m, pairs.ring + 2 * b};
        const PairProducts K{m, pairs.K + b * 4 * m * m};
        double *const q = base + b * words(m), *const order = q + 2 * m + 2, *const u = order + m, *const w = u + m;
        double *const worst = w + m, *const L = worst + 1;
        const Index first = places.first(), kept = places.kept();
        CURVBLAS_ROLLED
        for (Index i = 0; i < 2 * m + 1; ++i) q[i] = 0;
        q[2 * m + 1] = 1, ones[b] = 1;
        if (kept == 0 || pairs.judge(b) != Status::ok) return;
        const double *const Ss = pairs.of_s(b), *const Ys = Ss + m;
        const auto row = [&](Index i) { return places.row(first, i); };
        const double sigma = K.yy(row(kept - 1), row(kept - 1)) / K.sy(row(kept - 1), row(kept - 1));
        const auto middle = [&](Index i, Index j) {
            double sum = sigma * K.ss(row(i), row(j));
            CURVBLAS_ROLLED
            for (Index k = 0; k < (i < j ? i : j); ++k)
                sum += K.sy(row(i), row(k)) * K.sy(row(j), row(k)) / K.sy(row(k), row(k));
            return sum;
        };
        CURVBLAS_ROLLED
        for (Index i = 0; i < kept; ++i) order[i] = static_cast<double>(i);
        const Index rank =
            ordered_cholesky(middle, [&](Index i) { return middle(i, i); }, 1e-14, kept, order, m, L, worst);
        if (rank < kept) return;
        CURVBLAS_ROLLED
        for (Index i = 0; i < kept; ++i) {
            u[i] = sigma * Ss[row(i)];
            CURVBLAS_ROLLED
            for (Index k = 0; k < i; ++k) u[i] += K.sy(row(i), row(k)) / K.sy(row(k), row(k)) * Ys[row(k)];
        }
        solve_lower(L, m, kept, u), solve_lower_transposed(L, m, kept, u);
        double product = sigma * pairs.ss(b);
        CURVBLAS_ROLLED
        for (Index i = 0; i < kept; ++i) {
            w[i] = -Ys[row(i)];
            CURVBLAS_ROLLED
            for (Index k = i + 1; k < kept; ++k) w[i] += K.sy(row(k), row(i)) * u[k];
            w[i] /= K.sy(row(i), row(i));
            product -= sigma * u[i] * Ss[row(i)] + w[i] * Ys[row(i)];
        }
        if (!(pairs.sy(b) < 0.2 * product)) return;
        const double theta = 0.8 * product / (product - pairs.sy(b)), share = 1 - theta;
        CURVBLAS_ROLLED
        for (Index i = 0; i < kept; ++i) q[row(i)] = -share * sigma * u[i], q[m + row(i)] = -share * w[i];
        q[2 * m] = share * sigma, q[2 * m + 1] = theta;
    }
};

}  // namespace curvblas::CURVBLAS_BACKEND
