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

void require_rows(const Array& C, const Array& R, bool bias, int inner) {
    const int leading = C.ndim - inner, R_inner = R.ndim - leading;
    const Index d = C.shape[C.ndim - 1] - (bias ? 1 : 0);
    if ((R_inner == 2 || R_inner == 3) && d >= 0 && R.shape[R.ndim - 1] == d)
        return require_same_batch(C, inner, R, R_inner);
    const char* dots = leading ? "..., " : "";
    if (d < 0)
        wrong_value(C.argument.text(), " must have at least one row and column with bias=True, got shape ",
                    C.shape_text());
    wrong_value(R.argument.text(), " must have shape (", dots, "N, ", d, ") or (", dots, "N, T, ", d, ") for ",
                C.argument.short_text(), " of shape ", C.shape_text(), bias ? " with bias=True" : "", ", got ",
                R.shape_text());
}

void require_paired_rows(const Array& S, const Array& A, const Array& G, int inner) {
    const int leading = S.ndim - inner, A_inner = A.ndim - leading;
    const Index q = S.shape[leading], N = A.shape[leading];
    bool same = G.ndim == A.ndim && G.shape[G.ndim - 1] == q;
    for (int k = leading; same && k < A.ndim - 1; ++k) same = G.shape[k] == A.shape[k];
    if (same) return require_same_batch(S, inner, G, A_inner);
    const std::string cases = A_inner == 3 ? sentence(N, ", ", A.shape[leading + 1]) : sentence(N);
    wrong_value(G.argument.text(), " must have shape (", leading ? "..., " : "", A_inner == 3 ? "N, T, q" : "N, q",
                ") = (", leading ? "..., " : "", cases, ", ", q, ") for ", S.argument.short_text(), " of shape ",
                S.shape_text(), " and ", A.argument.short_text(), " of shape ", A.shape_text(), ", got ",
                G.shape_text());
}

}  // namespace curvblas
