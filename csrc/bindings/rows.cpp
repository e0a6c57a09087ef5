#include "bindings/rows.h"

namespace curvblas {

Rows rows_view(const Array& a, int leading, bool weights, Index first) {
    const int inner = a.ndim - leading, n = leading, t = leading + 1, d = a.ndim - 1;
    const bool shared = inner == (weights ? 2 : 3);
    Index batch_stride = 0;
    single_stride(a, inner, batch_stride);
    Rows rows{};
    rows.data = static_cast<const std::byte*>(a.data) + offset_of(a, inner, first) * item_size(a.dtype);
    rows.dtype = a.dtype;
    rows.N = a.shape[n], rows.n_stride = a.strides[n];
    rows.T = shared ? a.shape[t] : 1, rows.t_stride = shared ? a.strides[t] : 0;
    rows.d = weights ? 1 : a.shape[d], rows.d_stride = weights || rows.d == 1 ? 1 : a.strides[d];
    rows.batch_stride = batch_stride;
    return rows;
}

void require_rows(const Array& C, const Array& R, bool bias) {
    const int leading = C.ndim - 2, inner = R.ndim - leading;
    const Index d = C.shape[C.ndim - 1] - (bias ? 1 : 0);
    if ((inner == 2 || inner == 3) && d >= 0 && R.shape[R.ndim - 1] == d) return require_same_batch(C, 2, R, inner);
    const char* dots = leading ? "..., " : "";
    if (d < 0)
        wrong_value(C.argument.text(), " must have at least one row and column with bias=True, got shape ",
                    C.shape_text());
    wrong_value(R.argument.text(), " must have shape (", dots, "N, ", d, ") or (", dots, "N, T, ", d, ") for ",
                C.argument.short_text(), " of shape ", C.shape_text(), bias ? " with bias=True" : "", ", got ",
                R.shape_text());
}

}  // namespace curvblas
