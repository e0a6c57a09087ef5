#include "kernels/update_conv_factors.cuh"

namespace curvblas::CURVBLAS_BACKEND {
namespace {

/// Rows are patches that are looked up in the images as they are staged: their matrix is never formed. What a column
/// sees relative to where a patch begins is tabulated once for the two panels of a tile.
template <class T>
class Patches {
  public:
    static constexpr int edge = Tile<T>::edge, depth = Tile<T>::depth, pitch = Tile<T>::pitch;

    struct Column {
        Index offset, at[3];
        T otherwise;  // what it is where it sees no element: 1 for the bias
    };
    static constexpr std::size_t shared_bytes = Tile<T>::shared_bytes + 2 * edge * sizeof(Column);

    __device__ Patches(const UpdateConvFactors<T>& task, const TileSum& block, const Range& rows)
        : task_(task),
          columns_(reinterpret_cast<Column*>(dynamic_shared<unsigned char>() + Tile<T>::shared_bytes)),
          first_(block.b * task.images.batch_stride),
          left_(rows.end - rows.begin - own_step()),
          walk_(outputs_of(task.geometry).extent, rows.begin + own_step(), depth) {
        for (int c = static_cast<int>(threadIdx.x); c < 2 * edge; c += Tile<T>::threads)
            columns_[c] = column(Index{c < edge ? block.i : block.j} * edge + c % edge);
        __syncthreads();
    }

    /// Stages the present steps of panel 0 or 1.
    __device__ void stage(T* to, int panel) const {
        const ConvAxis* const axis = task_.geometry.axis;
        const bool within = left_ > 0;
        Index origin[3], offset = first_ + walk_.n * task_.images.n_stride;
#pragma unroll
        for (int a = 0; a < 3; ++a) {
            origin[a] = axis[a].position(walk_.at[a], 0);
            offset += origin[a] * task_.images.stride[a];
        }
        T* const own = to + own_step() * pitch;
        // Neighbouring threads take neighbouring positions.
        for (int i = static_cast<int>(threadIdx.x) / depth; i < edge; i += Tile<T>::threads / depth) {
            const Column& column = columns_[panel * edge + i];
            bool inside = within;
#pragma unroll
            for (int a = 0; a < 3; ++a) {
                const Index u = origin[a] + column.at[a];
                inside = inside && u >= 0 && u < axis[a].size;
            }
            if (inside)
                stage_element(own + i, task_.images, offset + column.offset);
            else
                own[i] = within ? column.otherwise : T(0);
        }
    }

    __device__ void advance() {
        left_ -= depth;
        walk_.advance();
    }

  private:
    struct Outputs {
        Index extent[3];
    };
    __device__ static Outputs outputs_of(const ConvGeometry& geometry) {
        return {{geometry.axis[0].outputs(), geometry.axis[1].outputs(), geometry.axis[2].outputs()}};
    }
    __device__ static int own_step() { return static_cast<int>(threadIdx.x) % depth; }

    __device__ Column column(Index j) const {
        const ConvAxis* const axis = task_.geometry.axis;
        constexpr Index nowhere = -(Index{1} << 62);
        Column result{0, {nowhere, 0, 0}, T(0)};
        const Index offsets = task_.geometry.offsets(), channel = j / offsets;
        if (channel >= task_.images.channels) {
            result.otherwise = T(task_.bias && j == task_.images.channels * offsets);
            return result;
        }
        result.offset = channel * task_.images.c_stride;
        Index k = j % offsets;
#pragma unroll
        for (int a = 2; a >= 0; --a) {
            result.at[a] = k % axis[a].kernel * axis[a].dilation, k /= axis[a].kernel;
            result.offset += result.at[a] * task_.images.stride[a];
        }
        return result;
    }

    const UpdateConvFactors<T>& task_;
    Column* columns_;
    Index first_, left_;  // of this thread's row: how many rows are left
    Walk walk_;
};

template <class T>
__device__ void finish(const UpdateConvFactors<T>& task, const TileSum& block, Tile<T>& tile) {
    finish_tile(tile, average_of(task, block.b), task.C[block.b], task.updated[block.b], block.i, block.j);
}

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    sum_patches(const TileSum* blocks, const UpdateConvFactors<T>* tasks, T* partial_sums) {
    const TileSum block = blocks[blockIdx.x];
    const UpdateConvFactors<T>& task = tasks[block.task];  // not copied: it would take registers from the tile
    const Range rows(task.images.N * task.geometry.positions(), block.split, block.splits);
    Patches<T> patches(task, block, rows);
    Tile<T> tile;
    tile.accumulate(
        rows.end - rows.begin, [&](T* to, Index) { patches.stage(to, 0); },
        [&](T* to, Index) {
            patches.stage(to, 1);
            patches.advance();
        });
    if (block.splits == 1) return finish(task, block, tile);
    store_partial_sum(tile, partial_sums + block.slot * slot_size<T>);
}

template <class T>
__global__ void __launch_bounds__(Tile<T>::threads, Tile<T>::resident)
    join_patches(const TileSum* blocks, const UpdateConvFactors<T>* tasks, const T* partial_sums) {
    const TileSum block = blocks[blockIdx.x];
    Tile<T> tile;
    add_partial_sums(tile, partial_sums + block.slot * slot_size<T>, block.splits);
    finish(tasks[block.task], block, tile);
}

template <class T, class Run>
void for_each_round_of_patches(std::span<const UpdateConvFactors<T>> group, const Run& run) {
    const auto splits_of = [](const UpdateConvFactors<T>& task) {
        return std::max<Index>(parts_of(task.images.N * task.geometry.positions()), 1);
    };
    for_each_round<T>(group, most_slots(group), splits_of, run);
}

template <class T>
void update_by_patches(const Queue& queue, std::span<const UpdateConvFactors<T>> group) {
    const auto tasks = queue.copy_of(group);
    for_each_round_of_patches(group, [&](const TileRound& round) {
        const auto sums = queue.scratch<T>(round.slots * slot_size<T>);
        launch_tiles<T>(queue, sum_patches<T>, round.sums, Patches<T>::shared_bytes, tasks.get(), sums.get());
        launch_tiles<T>(queue, join_patches<T>, round.joins, 0, tasks.get(), sums.get());
    });
}

template <class T>
Index patches_workspace_bytes(std::span<const UpdateConvFactors<T>> group) {
    Index most = 0;
    for_each_round_of_patches(group, [&](const TileRound& round) {
        const Index sums = round.slots * slot_size<T> * static_cast<Index>(sizeof(T));
        most = std::max(most, sums + std::max(table_bytes(round.sums), table_bytes(round.joins)));
    });
    return static_cast<Index>(group.size_bytes()) + most;
}

/// The tasks that each of the two ways is for.
template <class T>
struct Ways {
    std::vector<UpdateConvFactors<T>> shifts, patches;

    explicit Ways(std::span<const UpdateConvFactors<T>> group) {
        for (const auto& task : group) (prefers_shifts(task) ? shifts : patches).push_back(task);
    }
};

}  // namespace

template <class T>
void update_conv_factors(const Queue& queue, std::span<const UpdateConvFactors<T>> group) {
    const Ways<T> ways(group);
    if (!ways.shifts.empty()) update_by_shifts<T>(queue, ways.shifts);
    if (!ways.patches.empty()) update_by_patches<T>(queue, ways.patches);
}

template <class T>
Index conv_workspace_bytes(const Queue&, std::span<const UpdateConvFactors<T>> group) {
    const Ways<T> ways(group);
    return std::max(shifts_workspace_bytes<T>(ways.shifts), patches_workspace_bytes<T>(ways.patches));
}

template void update_conv_factors(const Queue&, std::span<const UpdateConvFactors<float>>);
template void update_conv_factors(const Queue&, std::span<const UpdateConvFactors<double>>);
template Index conv_workspace_bytes<float>(const Queue&, std::span<const UpdateConvFactors<float>>);
template Index conv_workspace_bytes<double>(const Queue&, std::span<const UpdateConvFactors<double>>);

}  // namespace curvblas::CURVBLAS_BACKEND
