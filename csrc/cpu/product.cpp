#include "cpu/product.h"

#include <algorithm>

#include "cpu/blas.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {
namespace {

struct OfProducts {};

// On a Zen 4 with 118 GF a core in float32, n = 8, 16, 64, 256 and 512 are multiplied as they lie there with 42, 80,
// 96, 115 and 103 GF, where the BLAS has 20, 66, 97, 102 and 91.
template <class T>
bool is_for_registers(const Micro& micro, const Matrix<const T>& B) {
    constexpr Index most_steps = 1024;  // the rows of B lie on as many pages
    return B.rows <= most_steps &&
           B.rows * B.columns * static_cast<Index>(sizeof(T)) <= micro.small_product<T>().most_bytes;
}

template <class T>
void copy(const Matrix<const T>& from, const Matrix<T>& to) {
    constexpr Index block =
        16;  // of a transposed matrix, columns are read and rows are written: a block fits the cache
    for (Index ib = 0; ib < to.rows; ib += block)
        for (Index jb = 0; jb < to.columns; jb += block)
            for (Index i = ib; i < std::min(ib + block, to.rows); ++i)
                for (Index j = jb; j < std::min(jb + block, to.columns); ++j) to(i, j) = from(i, j);
}

template <class T, class Scratch>
Matrix<T> contiguous(Index rows, Index columns, Scratch& scratch) {
    return {scratch.template take<T>(rows * columns), rows, columns, columns, 1};
}

}  // namespace

template <class T>
void multiply(const Micro& micro, const Matrix<const T>& A, const Matrix<const T>& B, const Matrix<T>& C) {
    if (C.rows == 0 || C.columns == 0) return;
    const bool in_registers = is_for_registers(micro, B);
    if (in_registers && B.column_stride == 1 && C.column_stride == 1) return micro.small_product<T>().multiply(A, B, C);
    const bool reads_A = in_registers || blas::is_blas(A);
    const bool reads_B = in_registers ? B.column_stride == 1 : blas::is_blas(B);
    const bool writes_C = C.column_stride == 1 && (in_registers || blas::is_blas(C));
    const auto room = [](bool needed, const auto& M) { return needed ? bytes<T>(M.rows * M.columns) : 0; };
    Scratch<OfProducts> scratch(room(!reads_A, A) + room(!reads_B, B) + room(!writes_C, C));
    const auto readable = [&](bool as_it_is, const Matrix<const T>& M) {
        if (as_it_is) return M;
        const Matrix<T> own = contiguous<T>(M.rows, M.columns, scratch);
        copy(M, own);
        return read_only(own);
    };
    const Matrix<const T> a = readable(reads_A, A), b = readable(reads_B, B);
    const Matrix<T> c = writes_C ? C : contiguous<T>(C.rows, C.columns, scratch);
    in_registers ? micro.small_product<T>().multiply(a, b, c) : blas::multiply(a, b, c);
    if (!writes_C) copy(read_only(c), C);
}

template void multiply(const Micro&, const Matrix<const float>&, const Matrix<const float>&, const Matrix<float>&);
template void multiply(const Micro&, const Matrix<const double>&, const Matrix<const double>&, const Matrix<double>&);

}  // namespace curvblas::cpu
