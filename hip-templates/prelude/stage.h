// stage.h: kernels as stages of one launch. A program's calls lie in memory as a table; run_stage of a generated header
// picks the kernel's function and hands it the arguments of its row.
#pragma once
#include "prelude/wave.h"

#ifndef P_STAGE_ARGS
#define P_STAGE_ARGS 16  // most arguments of a stage
#endif
constexpr int STAGE_ARGS = P_STAGE_ARGS;

/** One argument: an address, or an i32 in the low half. It becomes what the kernel's parameter is. */
struct stage_arg {
  u64 bits;
  template <class T> DEVICE operator T*() const {
#if ON_AMD
    return (T*)(__attribute__((address_space(1))) T*)bits;  // not any address: global_load, not flat_load
#else
    return (T*)bits;
#endif
  }
  DEVICE operator i32() const { return i32(bits); }
};

/** Arguments of a row; the same for the whole block, so that addresses stay in scalar registers. */
struct stage_args {
  const u64* from;
  DEVICE stage_arg operator[](int i) const { return {wave_uniform(from[i])}; }
};

/** A row of the table, 16-byte aligned. */
struct stage_call {
  u32 stage;  // which kernel
  u32 barrier_after;  // 1: a barrier of all blocks follows
  u32 prefetch;  // the kernel, plus 1, whose first weights are prefetched during the barrier; 0: none
  u32 unused;
  u64 args[STAGE_ARGS], prefetch_args[STAGE_ARGS];
};
