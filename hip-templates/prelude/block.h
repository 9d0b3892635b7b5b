// block.h: a block's threads together, and LDS. Includes what most templates need: numbers, math, vectors, weights,
// waves.
//   block_sync()              barrier of the block; LDS and global writes before it are seen after it
//   block_reduce(v, Op{})     over the block, to all threads, the same bits in each; vanishes at BLOCK == 1
//   await_earlier_launches()  what the launches before this one wrote is there; a kernel that calls it is started early
//                             where devices can do that: until then it may read weights, inputs of the step and state of
//                             earlier steps, and write nothing. Every thread must call it, also one without work
//   LDS(T, name, n);          declares the static LDS array T name[n], aligned to 16 bytes; not initialised
//   dyn_lds<T>()              the LDS bytes that the launch requests, aligned to 16 bytes
#pragma once
#include "prelude/quant.h"
#include "prelude/wave.h"

#if ON_AMD
DEVICE void block_sync() {
  if constexpr (BLOCK > 1) {
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
    __builtin_amdgcn_s_barrier();
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
  }
}
#elif ON_NVIDIA
DEVICE void block_sync() { __syncthreads(); }
#else
DEVICE void block_sync() { hiphost_barrier(); }
#endif

DEVICE void await_earlier_launches() {
#if ON_NVIDIA && !defined(P_STAGED) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");  // the next launch may take what room there is
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

#if ON_HOST
#define LDS(T, name, n) HIPHOST_LDS(T, name, n)
template <class T> DEVICE T* dyn_lds() { return hiphost_dynamic_lds<T>(); }
#else
#define LDS(T, name, n) alignas(16) __shared__ T name[n]
template <class T> DEVICE T* dyn_lds() {
  extern __shared__ u32 rf_dynamic_lds[] __attribute__((aligned(16)));
  return (T*)rf_dynamic_lds;
}
#endif

template <class T, class Op> DEVICE T block_reduce(T v, Op op) {
  v = wave_reduce(v, op);
  if constexpr (WAVES > 1) {
    LDS(T, partial, WAVES);
    if (lane_id() == 0) partial[wave_id()] = v;
    block_sync();
    v = partial[0];
    UNROLL for (int w = 1; w < WAVES; w++) v = op(v, partial[w]);
    block_sync();  // the next call may write at once
  }
  return v;
}
