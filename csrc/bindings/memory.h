// Who reads and who writes which memory: overlapping arguments are refused before anything is written.
#pragma once

#include <initializer_list>
#include <vector>

#include "bindings/group.h"

namespace curvblas {

/// ValueError if an array that is written shares an element with another array of the call: exact, views that
/// interleave without sharing an element (columns of one matrix, say) pass. Also if the strides of a written array let
/// it meet itself.
class Memory {
  public:
    void reads(const Group& group);
    void writes(const Group& group);
    void require_disjoint() const;

  private:
    struct Extent {
        const std::byte *begin, *end;
        const Array* array;
        bool written;
    };
    void add(const Array& a, bool written);
    static void require_disjoint_elements(const Extent* first, const Extent* last);

    std::vector<Extent> extents_;
};

/// ValueError unless `out` can be written and shares no element with what the call reads.
void require_output(const Group& out, std::initializer_list<const Group*> inputs);

}  // namespace curvblas
