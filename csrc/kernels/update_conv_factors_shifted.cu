#include "kernels/conv_shifts.h"
#include "kernels/update_conv_factors.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

/// The products of channels 64 i ... with channels 64 j ..., which are one difference of offsets further, summed over
/// positions [begin, end) of one box of all images. With `ones` a channel of ones follows the last: the bias.
struct Correlation {
    int task, i, j;
    bool ones;
    Index first_i, first_j;  // where the first of these channels are at the first position
    Index extent[3];
    Index begin, end;
    Index slot;
};

/// Tile (i, j) of channels for kernel offsets k and l: the sum over the boxes that their windows cover, [window[a][0],
/// window[a][1]) along each axis. Box number x has the partial sums slots[boxes + x] ... slots[boxes + x + 1] - 1.
struct Gather {
    int task, b, i, j;
    Index k, l;
    Index boxes;
    int segments[3], window[3][2];
};

/// The channels of a box as panels of a tile. A thread stages one position of 16.
template <class T>
class Channels {
  public:
    static constexpr int edge = Tile<T>::edge, depth = Tile<T>::depth, pitch = Tile<T>::pitch;
    static_assert(Tile<T>::threads == depth * depth);

    __device__ Channels(const Images& images, const Correlation& block)
        : images_(images),
          left_(block.end - block.begin - own_step()),
          count_(images.channels + (block.ones ? 1 : 0)),
          walk_(block.extent, block.begin + own_step(), depth) {}

    __device__ void stage(T* to, int tile, Index first) const {
        Index offset = first + walk_.n * images_.n_stride;
#pragma unroll
        for (int a = 0; a < 3; ++a) offset += walk_.at[a] * images_.stride[a];
        T* const own = to + own_step() * pitch;
        for (int i = own_channel(); i < edge; i += depth) {
            const Index c = Index{tile} * edge + i;
            if (left_ > 0 && c < images_.channels)
                stage_element(own + i, images_, offset + i * images_.c_stride);
            else
                own[i] = T(left_ > 0 && c < count_);
        }
    }

    __device__ void advance() {
        left_ -= depth;
        walk_.advance();
    }

  private:
    // Neighbouring threads take neighbours in memory.
    __device__ int own_step() const {
        const int thread = static_cast<int>(threadIdx.x);
        return images_.c_stride == 1 ? thread / depth : thread % depth;
    }
    __device__ int own_channel() const {
        const int thread = static_cast<int>(threadIdx.x);
        return images_.c_stride == 1 ? thread % depth : thread / depth;
    }

    const Images& images_;
    Index left_, count_;
    Walk walk_;
};

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    correlate(const Correlation* blocks, const UpdateConvFactors<T>* tasks, T* partial_sums) {
    const Correlation& block = blocks[blockIdx.x];
    Channels<T> channels(tasks[block.task].images, block);
    Tile<T> tile;
    tile.accumulate(
        block.end - block.begin, [&](T* to, Index) { channels.stage(to, block.i, block.first_i); },
        [&](T* to, Index) {
            channels.stage(to, block.j, block.first_j);
            channels.advance();
        });
    store_partial_sum(tile, partial_sums + block.slot * slot_size<T>);
}

/// Writes what the tile holds for channels c and d at offsets k and l.
template <class T>
__device__ void write(const UpdateConvFactors<T>& task, const Gather& block, Tile<T>& tile) {
    const Matrix<const T> C = task.C[block.b];
    const Matrix<T> updated = task.updated[block.b];
    const MovingAverage<T> average = average_of(task, block.b);
    const Index channels = task.images.channels, offsets = task.geometry.offsets();
    tile.for_each([&](int i, int j, T& sum) {
        const Index c = Index{block.i} * Tile<T>::edge + i, d = Index{block.j} * Tile<T>::edge + j;
        if (block.k == block.l && d > c) return;
        Index row = c * offsets + block.k, column = d * offsets + block.l;
        if (c >= channels || d >= channels) {
            // The bias sees every patch, also where an offset sees padding; offset 0 writes it.
            if (!task.bias || c > channels || block.k != block.l || (d == channels && block.k > 0)) return;
            row = channels * offsets;
            if (d == channels) column = row, sum = static_cast<T>(task.images.N * task.geometry.positions());
        }
        const Index lower = max(row, column), upper = min(row, column);
        updated(lower, upper) = updated(upper, lower) = fma(average.add, sum, average.kept(C(lower, upper)));
    });
}

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    gather_boxes(const Gather* blocks, const UpdateConvFactors<T>* tasks, const Index* slots, const T* partial_sums) {
    const Gather& block = blocks[blockIdx.x];
    Tile<T> tile;
    for (int z = block.window[0][0]; z < block.window[0][1]; ++z)
        for (int y = block.window[1][0]; y < block.window[1][1]; ++y) {
            // The boxes along a line follow each other, and so do their partial sums.
            const Index* const line = slots + block.boxes + (z * block.segments[1] + y) * block.segments[2];
            const Index begin = line[block.window[2][0]], end = line[block.window[2][1]];
            add_partial_sums(tile, partial_sums + begin * slot_size<T>, end - begin);
        }
    write(tasks[block.task], block, tile);
}

/// The difference of two kernel offsets, one part for each axis. A box is a product of one segment of each.
struct Difference {
    const AxisDifference* axis[3];

    bool is_zero() const { return axis[0]->D == 0 && axis[1]->D == 0 && axis[2]->D == 0; }

    /// f(z, y, x) for the boxes, x fastest.
    template <class F>
    void for_each_box(const F& f) const {
        for (int z = 0; z < axis[0]->segments(); ++z)
            for (int y = 0; y < axis[1]->segments(); ++y)
                for (int x = 0; x < axis[2]->segments(); ++x) f(z, y, x);
    }
    /// f(z, y, x) for the first ones of all pairs of offsets with this difference.
    template <class F>
    void for_each_offset(const F& f) const {
        const auto end = [&](int a) { return axis[a]->first_offset + axis[a]->offsets; };
        for (Index z = axis[0]->first_offset; z < end(0); ++z)
            for (Index y = axis[1]->first_offset; y < end(1); ++y)
                for (Index x = axis[2]->first_offset; x < end(2); ++x) f(z, y, x);
    }
    /// Positions of box (z, y, x) in one image.
    Index volume(int z, int y, int x) const { return axis[0]->length(z) * axis[1]->length(y) * axis[2]->length(x); }
};

/// All differences of a kernel's offsets, of which one of D and -D: the other one's products are the transposed.
class Differences {
  public:
    explicit Differences(const ConvGeometry& geometry)
        : along_{AxisDifferences(geometry.axis[0]), AxisDifferences(geometry.axis[1]),
                 AxisDifferences(geometry.axis[2])} {}

    template <class F>
    void for_each(const F& f) const {
        for (const auto& z : along_[0].each)
            for (const auto& y : along_[1].each)
                for (const auto& x : along_[2].each)
                    if (z.D > 0 || (z.D == 0 && (y.D > 0 || (y.D == 0 && x.D >= 0)))) f(Difference{{&z, &y, &x}});
    }

  private:
    AxisDifferences along_[3];
};

struct Round {
    std::vector<Correlation> correlations;
    std::vector<Gather> gathers;
    std::vector<Index> slots_of_boxes;
    Index slots = 0;
};

/// Cuts a group into rounds that hold at most `most_slots` partial sums, or those of one tile and difference.
template <class T, class Run>
class Rounds {
  public:
    Rounds(std::span<const UpdateConvFactors<T>> group, Index most, const Run& run) : most_(most), run_(run) {
        for (int t = 0; t < static_cast<int>(group.size()); ++t) add_task(t, group[t]);
        if (!round_.gathers.empty()) run_(round_);
    }

  private:
    void add_task(int t, const UpdateConvFactors<T>& task) {
        const Differences differences(task.geometry);
        const int side = static_cast<int>(tiles_of<T>(task.images.channels));
        const int side_with_ones = static_cast<int>(tiles_of<T>(task.images.channels + task.bias));
        // All differences of a tile follow each other: what they write lies close together.
        for (int b = 0; b < counted(task.updated.batch); ++b)
            for (int i = 0; i < side_with_ones; ++i)
                for (int j = 0; j < side_with_ones; ++j)
                    differences.for_each([&](const Difference& D) {
                        if (D.is_zero() ? j <= i : i < side && j < side) add_tile(task, {t, b, i, j}, D);
                    });
    }

    struct Place {
        int task, b, i, j;
    };

    void add_tile(const UpdateConvFactors<T>& task, const Place& at, const Difference& D) {
        const bool ones = task.bias && D.is_zero();
        const bool summed = Index{at.j} * Tile<T>::edge < task.images.channels;  // else it is ones times ones
        const auto parts = [&](int z, int y, int x) {
            return summed ? parts_of(task.images.N * D.volume(z, y, x)) : 0;
        };
        Index slots = 0;
        D.for_each_box([&](int z, int y, int x) { slots += parts(z, y, x); });
        if (round_.slots > 0 && round_.slots + slots > most_) run_(std::exchange(round_, {}));
        const auto boxes = static_cast<Index>(round_.slots_of_boxes.size());
        D.for_each_box([&](int z, int y, int x) {
            round_.slots_of_boxes.push_back(round_.slots);
            if (const Index count = parts(z, y, x)) add_box(task, at, D, {z, y, x}, count, ones);
        });
        round_.slots_of_boxes.push_back(round_.slots);
        add_gathers(task, at, D, boxes);
    }

    void add_box(const UpdateConvFactors<T>& task, const Place& at, const Difference& D, const int (&box)[3],
                 Index parts, bool ones) {
        Index from[3], moved[3];
        Correlation block{at.task, at.i, at.j, ones, 0, 0, {}, 0, 0, 0};
        for (int a = 0; a < 3; ++a) {
            from[a] = D.axis[a]->cuts[box[a]];
            moved[a] = from[a] + D.axis[a]->shift;
            block.extent[a] = D.axis[a]->length(box[a]);
        }
        const Index c = Index{at.i} * Tile<T>::edge, d = Index{at.j} * Tile<T>::edge;
        block.first_i = task.images.offset(at.b, 0, c, from[0], from[1], from[2]);
        block.first_j = task.images.offset(at.b, 0, d, moved[0], moved[1], moved[2]);
        const Index rows = task.images.N * D.volume(box[0], box[1], box[2]), each = (rows + parts - 1) / parts;
        for (Index part = 0; part < parts; ++part) {
            block.begin = part * each, block.end = std::min(block.begin + each, rows);
            block.slot = round_.slots++;
            round_.correlations.push_back(block);
        }
    }

    void add_gathers(const UpdateConvFactors<T>& task, const Place& at, const Difference& D, Index boxes) {
        const auto linear = [&](Index z, Index y, Index x) {
            return (z * task.geometry.axis[1].kernel + y) * task.geometry.axis[2].kernel + x;
        };
        const Index apart = linear(D.axis[0]->D, D.axis[1]->D, D.axis[2]->D);
        D.for_each_offset([&](Index z, Index y, Index x) {
            const Index offset[] = {z, y, x}, k = linear(z, y, x);
            Gather gather{at.task, at.b, at.i, at.j, k, k + apart, boxes, {}, {}};
            for (int a = 0; a < 3; ++a) {
                const AxisDifference::Window& window = D.axis[a]->window(offset[a]);
                gather.segments[a] = D.axis[a]->segments();
                gather.window[a][0] = window.begin, gather.window[a][1] = window.end;
            }
            round_.gathers.push_back(gather);
        });
    }

    Index most_;
    const Run& run_;
    Round round_;
};

}  // namespace

template <class T>
bool prefers_shifts(const UpdateConvFactors<T>& task) {
    constexpr Index fewest_channels = 16;
    const Index N = task.images.N, channels = task.images.channels;
    if (!task.geometry.unit_stride() || channels < fewest_channels) return false;
    // Besides its steps, a box costs that its tile is written and read again, about as much memory as 64 steps read.
    constexpr Index depth = Tile<T>::depth, per_box = 64;
    const auto pairs = [](Index side) { return side * (side + 1) / 2; };
    const Index side = tiles_of<T>(channels);
    Index steps = 0;
    Differences(task.geometry).for_each([&](const Difference& D) {
        const Index tiles = D.is_zero() ? pairs(tiles_of<T>(channels + task.bias)) : side * side;
        D.for_each_box([&](int z, int y, int x) {
            steps += tiles * ((N * D.volume(z, y, x) + depth - 1) / depth * depth + per_box);
        });
    });
    return steps < pairs(tiles_of<T>(task.updated.rows)) * N * task.geometry.positions();
}

template <class T>
void update_by_shifts(const Queue& queue, std::span<const UpdateConvFactors<T>> group) {
    const auto tasks = queue.copy_of(group);
    const auto run = [&](const Round& round) {
        const auto sums = queue.scratch<T>(round.slots * slot_size<T>);
        const auto slots = queue.copy_of(std::span<const Index>(round.slots_of_boxes));
        launch_tiles<T>(queue, correlate<T>, round.correlations, Tile<T>::shared_bytes, tasks.get(), sums.get());
        launch_tiles<T>(queue, gather_boxes<T>, round.gathers, 0, tasks.get(), slots.get(), sums.get());
    };
    Rounds(group, most_slots(group), run);
}

template <class T>
Index shifts_workspace_bytes(std::span<const UpdateConvFactors<T>> group) {
    Index most = 0;
    const auto run = [&](const Round& round) {
        const Index sums = round.slots * slot_size<T> * static_cast<Index>(sizeof(T));
        const Index tables = std::max(table_bytes(round.correlations), table_bytes(round.gathers));
        most = std::max(most, sums + table_bytes(round.slots_of_boxes) + tables);
    };
    Rounds(group, most_slots(group), run);
    return static_cast<Index>(group.size_bytes()) + most;
}

template bool prefers_shifts(const UpdateConvFactors<float>&);
template bool prefers_shifts(const UpdateConvFactors<double>&);
template void update_by_shifts(const Queue&, std::span<const UpdateConvFactors<float>>);
template void update_by_shifts(const Queue&, std::span<const UpdateConvFactors<double>>);
template Index shifts_workspace_bytes(std::span<const UpdateConvFactors<float>>);
template Index shifts_workspace_bytes(std::span<const UpdateConvFactors<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
