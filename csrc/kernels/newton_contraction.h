// When Newton-Schulz steps towards an inverse go on, and when their iterate is good: the same on every backend.
#pragma once

#include <cmath>

#include "core/status.h"
#include "core/view.h"

namespace curvblas {

/// Looks at R = I - A X for the iterates X of newton_inverse.h: at ||R||_F, the residual, and at the root of tr(R^2).
/// Where X is positive definite, R is similar to the symmetric S = I - X^1/2 A X^1/2, and the root is ||S||_F: it tells
/// of convergence, and a step squares S. ||R||_F is larger, up to the root of the condition of A.
struct Contraction {
    enum Verdict : int { go_on, accepted, left };
    static constexpr int most_looks = 8;  // from 1/2, 2^-128 after seven steps

    double goal, limit, noise, first_root, norm_before, root_before;
    int looks, verdict;

    /// `squares` are those of the Frobenius norms of A and X_0, `rows` those of their longest rows; `epsilon` is that
    /// of the dtype of X.
    CURVBLAS_DEVICE Contraction(Index n, double epsilon, double squares_A, double squares_X, double row_A, double row_X)
        : norm_before(0), root_before(0), looks(0), verdict(go_on) {
        const double order = static_cast<double>(n), norms = sqrt(squares_A) * sqrt(squares_X);
        const double longest = sqrt(row_A) * sqrt(row_X);
        // Both are at most ||A||_2 ||X_0||_2, and that is at most 1.5 times the condition of A, for ||S||_2 <= 1/2.
        const double condition = norms / order > longest ? norms / order : longest;
        const double rounding = epsilon * sqrt(order) * condition;
        goal = rounding < residual_bound / 10 ? rounding : residual_bound / 10;
        limit = 30 * rounding < residual_bound ? 30 * rounding : residual_bound;
        noise = 0x1p-53 * norms;
        first_root = order > 4 ? sqrt(order) / 4 : 0.5;
        // Squares that overflow or vanish, no elements, NaN: left. Written as not(>) for the sake of NaN.
        if (!(squares_A > 1e-280) || !(squares_X > 1e-280) || !(norms < 1e280)) verdict = left;
    }

    /// At the second look ||S||_F must be at most 1/4: it is that of the square of the first S, whose eigenvalues are
    /// then at most 1/2. At the first look, sqrt(n) / 4 is what a change without a direction may have. Once neither
    /// norm falls to a half of what it was, what is left is rounding, and the iterate is good or never will be.
    CURVBLAS_DEVICE void look(double norm, double trace_of_square) {
        const double root = sqrt(fabs(trace_of_square));
        const bool is_first = looks++ == 0;
        const bool falls = norm <= norm_before / 2 || root <= root_before / 2;
        // Written as not(<=) so that NaN is left.
        const bool contracts = is_first ? root <= first_root : falls && (looks > 2 || root <= 0.25);
        norm_before = norm, root_before = root;
        if (norm <= goal)
            verdict = accepted;
        else if (!contracts || looks == most_looks || !(norm < 1e280))
            verdict = !is_first && norm <= limit ? accepted : left;
        if (verdict == accepted && !(norm + noise <= residual_bound)) verdict = left;
    }
};

}  // namespace curvblas
