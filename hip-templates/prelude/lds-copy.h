// lds-copy.h: from global memory to LDS without a register on the way, where there is an instruction for that.
//   copy_to_lds(lds, from)   16 bytes, both addresses multiples of 16; sees what was written before this launch
//   wait_for_copies()        this thread's copies have arrived; other threads see them behind a block_sync
#pragma once
#include "prelude/block.h"

#if ON_NVIDIA
DEVICE void copy_to_lds(void* lds, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(u32(__cvta_generic_to_shared(lds))), "l"(from) : "memory");
}
DEVICE void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }
#else
DEVICE void copy_to_lds(void* lds, const void* from) { store_words(lds, load_words<4, 16, false>(from)); }
DEVICE void wait_for_copies() {}
#endif
