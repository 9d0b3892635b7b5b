// lds-copy.h: from global memory to LDS without a register on the way, where there is an instruction for that.
//   copy_to_lds(lds, from)          16 bytes, both addresses multiples of 16; sees what was written before this launch
//   copy_to_lds_if(there, lds, from)   the same, or 16 bytes of zeros; `from` must be readable memory in any case
//   commit_copies()                 ends a group of this thread's copies
//   wait_for_copies<N>()            all groups but the last N have arrived; wait_for_copies() waits for every copy. Other
//                                   threads see them behind a block_sync
#pragma once
#include "prelude/block.h"

#if ON_NVIDIA
/** Copies run while the thread goes on: worth several buffers in LDS. */
constexpr bool ASYNC_COPIES = true;
DEVICE void copy_to_lds(void* lds, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(u32(__cvta_generic_to_shared(lds))), "l"(from) : "memory");
}
DEVICE void copy_to_lds_if(bool there, void* lds, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(u32(__cvta_generic_to_shared(lds))), "l"(from),
               "r"(there ? 16 : 0) : "memory");
}
DEVICE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> DEVICE void wait_for_copies() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }
DEVICE void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }
#else
constexpr bool ASYNC_COPIES = false;
DEVICE void copy_to_lds(void* lds, const void* from) { store_words(lds, load_words<4, 16, false>(from)); }
DEVICE void copy_to_lds_if(bool there, void* lds, const void* from) {
  if (there) copy_to_lds(lds, from);
  else store_words(lds, words<4>{});
}
DEVICE void commit_copies() {}
template <int N> DEVICE void wait_for_copies() {}
DEVICE void wait_for_copies() {}
#endif
