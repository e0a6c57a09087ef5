// MKL's compact interface, whose functions are given as pointers (there are no headers in the package): groups of
// equal matrices interleaved, one SIMD lane each. Packing and unpacking count. Each thread takes pieces that stay in
// its cache.
#include <cstdlib>
#include <memory>

#include "native.h"

namespace {

constexpr int row_major = 101, lower = 122, left = 141, plain = 111, transposed = 112, not_unit = 131;
constexpr long piece_bytes = 128 * 1024;

template <class T>
struct Compact {
    int (*size)(int, int, int, int);
    void (*pack)(int, int, int, const T* const*, int, T*, int, int, int);
    void (*unpack)(int, int, int, T* const*, int, const T*, int, int, int);
    void (*getrfnp)(int, int, int, T*, int, int*, int, int);
    void (*getrinp)(int, int, T*, int, T*, int, int*, int, int);
    void (*potrf)(int, int, int, T*, int, int*, int, int);
    void (*trsm)(int, int, int, int, int, int, int, T, const T*, int, T*, int, int, int);
    void (*gemm)(int, int, int, int, int, int, T, const T*, int, const T*, int, T, T*, int, int, int);
};

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};

/// Buffers for the packed matrices of one piece.
template <class T>
struct Buffers {
    std::unique_ptr<T, Free> memory;
    std::size_t words = 0;

    T* of(std::size_t wanted) {
        if (wanted > words) {
            memory.reset(static_cast<T*>(std::aligned_alloc(64, (wanted * sizeof(T) + 63) / 64 * 64)));
            words = wanted;
        }
        return memory.get();
    }
};

/// Calls `work(first, members)` for pieces of whole packs, of which `matrices` packed ones fit the cache.
template <class T, class Work>
void by_pieces(int threads, int count, int n, int matrices, Work work) {
    const int pack = 64 / (int)sizeof(T);
    const long fit = piece_bytes / ((long)sizeof(T) * n * n * matrices) / pack * pack;
    const int piece =
        (int)std::min<long>(std::max<long>(fit, pack), std::max(pack, count / (4 * threads) / pack * pack));
    const int pieces = (count + piece - 1) / piece;
#pragma omp parallel for num_threads(std::min(threads, pieces)) schedule(dynamic, 1)
    for (int p = 0; p < pieces; ++p) work(p * piece, std::min(piece, count - p * piece));
}

/// Adds damping to the packed diagonals, which hold `lanes` matrices a block; or sets a packed identity.
template <class T>
void add_damping(T* packed, int n, int lanes, int members, T damping) {
    for (int block = 0; block * lanes < members; ++block)
        for (int i = 0; i < n; ++i)
            for (int lane = 0; lane < lanes; ++lane)
                packed[((long)block * n * n + i * (long)(n + 1)) * lanes + lane] += damping;
}

/// `format` says how many matrices are interleaved. Inverses by LU without pivoting (`cholesky` false), or by Cholesky
/// and two triangular solves.
template <class T>
int inverse_compact(const Compact<T>& mkl, int format, bool cholesky, int threads, int count, int n, const T* const* C,
                    double damping, T* const* X) {
    const int lanes = mkl.size(1, 1, format, 1) / (int)sizeof(T);
    int failed = 0;
    by_pieces<T>(threads, count, n, 2, [&](int first, int members) {
        static thread_local Buffers<T> buffers;
        const long words = mkl.size(n, n, format, members) / (long)sizeof(T);
        T *packed = buffers.of(2 * words), *second = packed + words;
        int info = 0, other = 0;
        mkl.pack(row_major, n, n, C + first, n, packed, n, format, members);
        add_damping(packed, n, lanes, members, T(damping));
        if (cholesky) {
            mkl.potrf(row_major, lower, n, packed, n, &info, format, members);
            std::fill_n(second, words, T(0));
            add_damping(second, n, lanes, members, T(1));
            for (const int operation : {plain, transposed})
                mkl.trsm(row_major, left, lower, operation, not_unit, n, n, T(1), packed, n, second, n, format,
                         members);
        } else {
            mkl.getrfnp(row_major, n, n, packed, n, &info, format, members);
            mkl.getrinp(row_major, n, packed, n, second, (int)words, &other, format, members);
        }
        mkl.unpack(row_major, n, n, X + first, n, cholesky ? second : packed, n, format, members);
        if (info || other) {
#pragma omp atomic
            ++failed;
        }
    });
    return failed;
}

/// P = (G V) A of square matrices; all three are packed.
template <class T>
void product_compact(const Compact<T>& mkl, int format, int threads, int count, int n, const T* const* V,
                     const T* const* A, const T* const* G, T* const* P) {
    by_pieces<T>(threads, count, n, 3, [&](int first, int members) {
        static thread_local Buffers<T> buffers;
        const long words = mkl.size(n, n, format, members) / (long)sizeof(T);
        T *x = buffers.of(3 * words), *y = x + words, *z = y + words;
        const auto multiply = [&](const T* left_one, const T* right_one, T* product) {
            mkl.gemm(row_major, plain, plain, n, n, n, T(1), left_one, n, right_one, n, T(0), product, n, format,
                     members);
        };
        mkl.pack(row_major, n, n, G + first, n, x, n, format, members);
        mkl.pack(row_major, n, n, V + first, n, y, n, format, members);
        multiply(x, y, z);
        mkl.pack(row_major, n, n, A + first, n, x, n, format, members);
        multiply(z, x, y);
        mkl.unpack(row_major, n, n, P + first, n, y, n, format, members);
    });
}

}  // namespace

extern "C" int inverse_compact_of_real(const Compact<REAL>* mkl, int format, int cholesky, int threads, int count,
                                       int n, const REAL* const* C, double damping, REAL* const* X) {
    return inverse_compact(*mkl, format, cholesky, threads, count, n, C, damping, X);
}

extern "C" void product_compact_of_real(const Compact<REAL>* mkl, int format, int threads, int count, int n,
                                        const REAL* const* V, const REAL* const* A, const REAL* const* G,
                                        REAL* const* P) {
    product_compact(*mkl, format, threads, count, n, V, A, G, P);
}
