// FaultStacks: stacks for threads that answer their own faults. The program's own stack, or its
// alternate signal stack, may have room for the kernel's signal frame and little more; and a stack
// for each thread would need to be given back at the thread's end, which takes malloc to hear of.
// So a thread borrows one for the time of its fault.
#ifndef USERPAGER_API_FAULT_STACKS_H_
#define USERPAGER_API_FAULT_STACKS_H_

namespace userpager {

// Thread-safe, also in signal handlers, for threads that hold no lock of the runtime.
class FaultStacks {
 public:
  // The lowest byte of a stack of Entry::kStackBytes; nullptr where there is no memory for another
  // one. As many are made as are ever in use at a time; none is given back to the kernel.
  static void* Take();
  static void Give(void* stack);
};

}  // namespace userpager

#endif  // USERPAGER_API_FAULT_STACKS_H_
