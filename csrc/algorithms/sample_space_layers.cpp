#include "algorithms/sample_space_layers.h"

#include <algorithm>
#include <limits>

#include "algorithms/sample_system.h"
#include "algorithms/workspace.h"
#include "kernels/gram.h"
#include "kernels/multiply.h"
#include "kernels/sample_space.h"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

constexpr Index block_bytes = Index{64} << 20;

/// The rows of a layer as matrices (N T, p) and (N T, q).
template <class T>
struct Layer {
    Matrix<const T> A, G;
    Index N, positions;
    bool bias;

    Index p() const { return A.columns; }
    Index q() const { return G.columns; }
    /// Whether the gradients of the cases are cheaper than the products of all pairs of positions.
    bool is_for_gradients() const {
        const double t = static_cast<double>(positions), a = static_cast<double>(p()), g = static_cast<double>(q());
        return positions > 1 && t * t * (a + g) > a * g;
    }
};

template <class T>
Matrix<const T> rows_of(const Matrix<const T>& A, Index first, Index count) {
    return {A.data + first * A.row_stride, count, A.columns, A.row_stride, A.column_stride};
}

/// Matrix n holds the positions of case n, as its columns.
template <class T>
Stack<const T> turned_cases(const Matrix<const T>& A, Index N, Index positions) {
    return {A.data, A.columns, positions, A.column_stride, A.row_stride, N, positions * A.row_stride};
}

template <class T>
class Layers {
  public:
    Layers(const Queue& queue, std::span<const LayerRows> given)
        : queue_(queue),
          given_(given),
          copies_(queue, words_of_copies()),
          ones_(queue.copy_of(std::span<const T>(most_ones()))) {
        std::vector<LayerCopy<T>> copies;
        for (const LayerRows& l : given_)
            layers_.push_back({walked(l.A, copies), walked(l.G, copies), l.A.N, l.A.T, l.bias});
        for_each_element<LayerCopy<T>>(queue_, copies);
    }

    void add_up(const Matrix<double>& K) const {
        const LayerClear clear{K};
        for_each_element<LayerClear>(queue_, std::span(&clear, 1));
        const std::vector<double> zeros(static_cast<std::size_t>(K.rows), 0.0);
        const auto is_wrong = queue_.copy_of(std::span<const double>(zeros));
        for (const Layer<T>& layer : layers_)
            layer.is_for_gradients() ? add_gradients(layer, K, is_wrong.get()) : add_pairs(layer, K, is_wrong.get());
        const LayerRefuse refuse{K, is_wrong.get()};
        for_each_element<LayerRefuse>(queue_, std::span(&refuse, 1));
    }

    /// x = G^T diag(w) A for each layer.
    void expand(const double* w, std::span<const Matrix<T>> x) const {
        Index words = 0;
        for (const Layer<T>& l : layers_) words += l.G.rows * l.q();
        Workspace<T> scaled(queue_, words);
        std::vector<LayerCopy<T>> copies;
        std::vector<Product<T>> products;
        for (std::size_t k = 0; k < layers_.size(); ++k) {
            const Layer<T>& l = layers_[k];
            const Matrix<T> S = scaled.take(l.G.rows, l.q());
            copies.push_back({given_[k].G, w, S});
            const Stack<const T> weighted = transposed(as_stack(read_only(S)));
            const Matrix<T>& X = x[k];
            products.push_back(
                {weighted, as_stack(l.A), as_stack(Matrix<T>{X.data, l.q(), l.p(), X.row_stride, X.column_stride})});
            if (l.bias)
                products.push_back(
                    {weighted, ones(l.A.rows), as_stack(Matrix<T>{&X(0, l.p()), l.q(), 1, X.row_stride, 1})});
        }
        for_each_element<LayerCopy<T>>(queue_, copies);
        multiply<T>(queue_, products);
    }

  private:
    Index words_of_copies() const {
        Index words = 0;
        for (const LayerRows& l : given_)
            for (const Rows& rows : {l.A, l.G}) words += rows.has_one_stride() ? 0 : rows.count() * rows.d;
        return words;
    }
    /// As many ones as a layer has rows.
    std::vector<T> most_ones() const {
        Index most = 1;
        for (const LayerRows& l : given_) most = std::max(most, l.A.count());
        return std::vector<T>(static_cast<std::size_t>(most), T(1));
    }
    Stack<const T> ones(Index rows) const { return {ones_.get(), rows, 1, 1, 1, 1, 0}; }

    /// Rows as a matrix, copied where no single stride walks them.
    Matrix<const T> walked(const Rows& rows, std::vector<LayerCopy<T>>& copies) {
        // The stride of a single row may be any number, and the BLAS wants a sensible one.
        const Index stride = rows.count() > 1 ? rows.row_stride() : std::max<Index>(rows.d, 1);
        if (rows.has_one_stride())
            return {static_cast<const T*>(rows.data), rows.count(), rows.d, stride, rows.d_stride};
        const Matrix<T> copy = copies_.take(rows.count(), rows.d);
        copies.push_back({rows, nullptr, copy});
        return read_only(copy);
    }

    void verify(const Matrix<const T>& rows, const Matrix<const double>& squares, Index positions, Index first,
                double* is_wrong) const {
        const LayerVerify<T> task{rows, squares, positions, first, is_wrong};
        for_each_element<LayerVerify<T>>(queue_, std::span(&task, 1));
    }

    /// By blocks of cases: their products with each other and with those before them.
    void add_pairs(const Layer<T>& l, const Matrix<double>& K, double* is_wrong) const {
        const Index positions = l.positions;
        const Index bytes_of_case = 2 * l.A.rows * positions * static_cast<Index>(sizeof(double));
        const Index most =
            std::clamp<Index>(block_bytes / std::max<Index>(bytes_of_case, 1), 1, std::max<Index>(l.N, 1));
        const auto pairs_of_rows = queue_.template scratch<double>(2 * most * positions * l.A.rows);
        for (Index first = 0; first < l.N; first += most) {
            const Index own = std::min(most, l.N - first) * positions, before = first * positions;
            double* next = pairs_of_rows.get();
            std::vector<Gram<T>> tasks;
            for (const Matrix<const T>& rows : {l.A, l.G}) {
                const Matrix<double> squares{next, own, own, own, 1}, others{next + own * own, own, before, before, 1};
                next += own * (own + before);
                tasks.push_back({as_stack(rows_of(rows, before, own)),
                                 before > 0 ? as_stack(rows_of(rows, 0, before)) : Stack<const T>{}, as_stack(squares),
                                 before > 0 ? as_stack(others) : Stack<double>{}});
            }
            gram<T>(queue_, tasks);
            for (const Gram<T>& task : tasks) verify(task.R[0], read_only(task.K[0]), positions, first, is_wrong);
            const LayerPairs pairs{read_only(tasks[0].K[0]),
                                   read_only(tasks[0].P[0]),
                                   read_only(tasks[1].K[0]),
                                   read_only(tasks[1].P[0]),
                                   positions,
                                   first,
                                   l.bias ? 1.0 : 0.0,
                                   K};
            for_each_element<LayerPairs>(queue_, std::span(&pairs, 1));
        }
    }

    /// By gradients of the cases, some rows of all of them at a time.
    void add_gradients(const Layer<T>& l, const Matrix<double>& K, double* is_wrong) const {
        const Index bytes_of_row = l.N * l.p() * static_cast<Index>(sizeof(T));
        const Index most =
            std::clamp<Index>(block_bytes / std::max<Index>(bytes_of_row, 1), 1, std::max<Index>(l.q(), 1));
        const auto gradients = queue_.template scratch<T>(l.N * std::max(most * l.p(), l.q()));
        Workspace<double> squares(queue_, l.N * l.N);
        const Matrix<double> R = squares.take(l.N, l.N);
        T* const D = gradients.get();
        const Stack<const T> G = turned_cases(l.G, l.N, l.positions);
        const auto add = [&](const Stack<const T>& G_rows, const Stack<const T>& B) {
            const Index columns = G_rows.rows * B.columns;
            const Product<T> product{G_rows, B, contiguous_stack(D, G_rows.rows, B.columns, l.N)};
            multiply<T>(queue_, std::span(&product, 1));
            const Gram<T> gradient_squares{as_stack(Matrix<const T>{D, l.N, columns, columns, 1}), {}, as_stack(R), {}};
            gram<T>(queue_, std::span(&gradient_squares, 1));
            verify(gradient_squares.R[0], read_only(R), 1, 0, is_wrong);
            const SampleSpaceAdd sum{read_only(R), {}, false, K, nullptr};
            for_each_element<SampleSpaceAdd>(queue_, std::span(&sum, 1));
        };
        for (Index first = 0; first < l.q(); first += most) {
            Stack<const T> some = G;
            some.data += first * G.row_stride, some.rows = std::min(most, l.q() - first);
            add(some, transposed(turned_cases(l.A, l.N, l.positions)));
        }
        if (!l.bias) return;
        Stack<const T> each = ones(l.positions);
        each.batch = l.N;
        add(G, each);
    }

    const Queue& queue_;
    const std::span<const LayerRows> given_;
    Workspace<T> copies_;
    decltype(std::declval<Queue>().copy_of(std::span<const T>())) ones_;
    std::vector<Layer<T>> layers_;
};

}  // namespace

template <class T>
void layer_gram(const Queue& queue, std::span<const LayerRows> layers, const Matrix<double>& K) {
    Layers<T>(queue, layers).add_up(K);
}

template <class T>
void sample_space_solve_layers(const Queue& queue, const SampleSpaceLayers<T>& task) {
    const Index N = task.rhs.columns;
    const Layers<T> layers(queue, task.layers);
    Workspace<double> numbers(queue, N * (N + 2));
    const Matrix<double> K = numbers.take(N, N);
    double *const e = numbers.take(N), *const w = numbers.take(N);
    layers.add_up(K);
    const SampleSpaceRight<T> right{task.rhs, false, 0, nullptr, e};
    for_each_element<SampleSpaceRight<T>>(queue, std::span(&right, 1));
    const SampleSystem system{read_only(K),   e, task.damping, static_cast<double>(std::numeric_limits<T>::epsilon()),
                              most_square<T>, w, task.status};
    solve_sample_systems(queue, std::span(&system, 1));
    layers.expand(w, task.x);
}

template void layer_gram<float>(const Queue&, std::span<const LayerRows>, const Matrix<double>&);
template void layer_gram<double>(const Queue&, std::span<const LayerRows>, const Matrix<double>&);
template void sample_space_solve_layers(const Queue&, const SampleSpaceLayers<float>&);
template void sample_space_solve_layers(const Queue&, const SampleSpaceLayers<double>&);

}  // namespace curvblas::CURVBLAS_BACKEND
