#include "algorithms/kron_sum_solve.h"

#include <vector>

#include "kernels/eigenbasis.h"
#include "kernels/kron_sum.h"
#include "kernels/multiply.h"
#include "kernels/precondition.h"
#include "kernels/precondition_eigen.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

/// Takes pieces of one allocation.
template <class T>
class Pieces {
  public:
    explicit Pieces(T* begin) : next_(begin) {}

    T* take(Index count) {
        T* const taken = next_;
        next_ += count;
        return taken;
    }
    Stack<T> take(Index rows, Index columns, Index batch) {
        return contiguous_stack(take(rows * columns * batch), rows, columns, batch);
    }

  private:
    T* next_;
};

/// A and C, or B and D: W^T A W = I, W^T C W = E diag(values) E^T.
template <class T>
struct Side {
    Stack<T> Q, W, whitened;
    T *first_values, *values;
    Status *first_status, *status;

    Side(Index n, Index batch, Pieces<T>& words, Pieces<Status>& statuses)
        : Q(words.take(n, n, batch)),
          W(words.take(n, n, batch)),
          whitened(words.take(n, n, batch)),
          first_values(words.take(n * batch)),
          values(words.take(n * batch)),
          first_status(statuses.take(batch)),
          status(statuses.take(batch)) {}

    static Index words(Index n, Index batch) { return batch * (3 * n * n + 2 * n); }
    const Stack<T>& E() const { return Q; }  // takes the place of the first vectors
};

/// What one problem needs beside its arguments.
template <class T>
struct Workspace {
    Side<T> A, B;
    Stack<T> half, S, second;
    double *least, *residuals;
};

}  // namespace

template <class T>
void kron_sum_solve(const Queue& queue, std::span<const KronSumSolve<T>> group, double sign) {
    Index words = 0, batch = 0;
    for (const auto& task : group) {
        const Index q = task.Z.rows, p = task.Z.columns, n = task.Z.batch;
        words += Side<T>::words(p, n) + Side<T>::words(q, n) + 3 * n * p * q;
        batch += n;
    }
    if (batch == 0) return;
    const auto memory = queue.scratch<T>(words);
    const auto numbers = queue.scratch<double>(3 * batch);
    const auto all_statuses = queue.scratch<Status>(4 * batch);
    Pieces<T> pieces(memory.get());
    Pieces<double> reals(numbers.get());
    Pieces<Status> statuses(all_statuses.get());
    std::vector<Workspace<T>> spaces;
    for (const auto& task : group) {
        const Index q = task.Z.rows, p = task.Z.columns, n = task.Z.batch;
        const Side<T> A(p, n, pieces, statuses), B(q, n, pieces, statuses);
        const Stack<T> half = pieces.take(q, p, n), S = pieces.take(q, p, n), second = pieces.take(q, p, n);
        spaces.push_back({A, B, half, S, second, reals.take(n), reals.take(2 * n)});
    }

    std::vector<Eigenbasis<T>> first, then;
    std::vector<Whitening<T>> whitenings;
    std::vector<Precondition<T>> whitened, into, back, products;
    std::vector<KronSumDenominators<T>> denominators;
    std::vector<PreconditionEigen<T>> divisions;
    std::vector<KronSumReport<T>> reports;
    for (std::size_t k = 0; k < group.size(); ++k) {
        const auto& task = group[k];
        const Workspace<T>& own = spaces[k];
        const auto add_side = [&](const Side<T>& side, const Stack<const T>& A, const Stack<const T>& C,
                                  double* residual) {
            first.push_back({A, {}, side.first_values, side.Q, {side.first_status, residual}});
            whitenings.push_back({read_only(side.Q), side.first_values, side.W});
            whitened.push_back({C, read_only(side.W), read_only(transposed(side.W)), side.whitened});
            then.push_back({read_only(side.whitened), {}, side.values, side.Q, {side.status, residual}});
        };
        add_side(own.A, task.A, task.C, own.residuals);
        add_side(own.B, task.B, task.D, own.residuals + task.Z.batch);
        const Stack<const T> W_A = read_only(own.A.W), W_B = read_only(own.B.W), X = read_only(task.X);
        denominators.push_back({own.A.values, own.B.values, own.S, own.least});
        into.push_back({task.Z, W_A, transposed(W_B), own.half});
        divisions.push_back({read_only(own.half),
                             read_only(own.A.E()),
                             read_only(own.B.E()),
                             {},
                             {},
                             read_only(own.S),
                             own.least,
                             own.second});
        back.push_back({read_only(own.second), transposed(W_A), W_B, task.X});
        products.push_back({X, task.A, task.B, own.half});
        products.push_back({X, task.C, task.D, own.second});
        reports.push_back({own.A.first_values,
                           own.B.first_values,
                           {own.A.first_status, own.B.first_status, own.A.status, own.B.status},
                           task.Z,
                           read_only(own.half),
                           read_only(own.second),
                           task.X,
                           task.status,
                           task.residual});
    }
    eigenbasis<T>(queue, first);
    whiten<T>(queue, whitenings);
    precondition<T>(queue, whitened);
    eigenbasis<T>(queue, then);
    find_denominators<T>(queue, denominators, sign);
    precondition<T>(queue, into);
    precondition_eigen<T>(queue, divisions);
    precondition<T>(queue, back);
    precondition<T>(queue, products);
    judge<T>(queue, reports, sign);
}

template void kron_sum_solve(const Queue&, std::span<const KronSumSolve<float>>, double);
template void kron_sum_solve(const Queue&, std::span<const KronSumSolve<double>>, double);

}  // namespace curvblas::CURVBLAS_BACKEND
