// Gauges: what the runtime has now, in pages. Each belongs to one class of another room, which
// changes it as that class says; everybody may read it.
#ifndef USERPAGER_OBSERVE_GAUGES_H_
#define USERPAGER_OBSERVE_GAUGES_H_

#include <atomic>
#include <cstdint>

namespace userpager {

using Gauge = std::atomic<uint64_t>;

// Of FrameLedger.
struct FrameGauges {
  Gauge limit{0};
  Gauge charged{0};
  Gauge peak{0};
  Gauge unpaged{0};
  Gauge mapped{0};
  Gauge mapped_peak{0};
};

// Of CommitCharge.
struct CommitGauges {
  Gauge limit{0};
  Gauge charged{0};
  Gauge peak{0};
};

// Of SlotMap.
struct SlotGauges {
  Gauge most{0};    // that can ever exist
  Gauge usable{0};  // existing ones less bad ones
  Gauge used{0};
  Gauge bad{0};
  Gauge discarded{0};  // times that one lost its disk space, by discard:on; it only grows
};

}  // namespace userpager

#endif  // USERPAGER_OBSERVE_GAUGES_H_
