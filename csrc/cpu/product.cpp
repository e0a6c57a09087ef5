#include "cpu/product.h"

#include <algorithm>

#include "cpu/packed_product.h"
#include "cpu/scratch.h"

namespace curvblas::cpu {
namespace {

struct OfProducts {};

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
    const bool in_registers = is_for_registers<T>(micro, B.rows, B.columns);
    const bool copies_B = in_registers && B.column_stride != 1, copies_C = C.column_stride != 1;
    const auto room = [](bool needed, const auto& M) { return needed ? bytes<T>(M.rows * M.columns) : 0; };
    if (in_registers && !copies_B && !copies_C) return micro.small_product<T>().multiply(A, B, C);
    Scratch<OfProducts> scratch(room(copies_B, B) + room(copies_C, C));
    Matrix<const T> b = B;
    if (copies_B) {
        const Matrix<T> own = contiguous<T>(B.rows, B.columns, scratch);
        copy(B, own);
        b = read_only(own);
    }
    const Matrix<T> c = copies_C ? contiguous<T>(C.rows, C.columns, scratch) : C;
    in_registers ? micro.small_product<T>().multiply(A, b, c) : multiply_packed(micro.tile<T>(), A, b, c);
    if (copies_C) copy(read_only(c), C);
}

template void multiply(const Micro&, const Matrix<const float>&, const Matrix<const float>&, const Matrix<float>&);
template void multiply(const Micro&, const Matrix<const double>&, const Matrix<const double>&, const Matrix<double>&);

}  // namespace curvblas::cpu
