// What a thread does between two looks at memory that another one will change.
#ifndef USERPAGER_PLATFORM_PAUSE_H_
#define USERPAGER_PLATFORM_PAUSE_H_

namespace userpager {

// Leaves the core's other thread, and the memory, to others for some tens of cycles.
inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("yield");
#endif
}

}  // namespace userpager

#endif  // USERPAGER_PLATFORM_PAUSE_H_
