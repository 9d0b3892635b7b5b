// atomic.h: atomics between all threads of the device, and what a wait for another block needs.
//   atomic_add(p, v)  f32, i32, u32       gives the old value, as do atomic_max(p, v), atomic_min(p, v)  i32, u32;
//                                         relaxed
//   load_acquire(p), store_release(p, v)  u32 flags between blocks
//   device_fence()                        writes before it are seen by other blocks before those after it
//   grid_sync(counter)                    all blocks of the grid meet; every block must be resident, counter starts at 0
#pragma once
#include "prelude/block.h"

#if ON_AMD
template <class T> DEVICE T atomic_add(T* p, T v) {
  return __hip_atomic_fetch_add(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}
template <class T> DEVICE T atomic_max(T* p, T v) {
  return __hip_atomic_fetch_max(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}
template <class T> DEVICE T atomic_min(T* p, T v) {
  return __hip_atomic_fetch_min(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}
DEVICE u32 load_acquire(const u32* p) { return __hip_atomic_load(p, __ATOMIC_ACQUIRE, __HIP_MEMORY_SCOPE_AGENT); }
DEVICE void store_release(u32* p, u32 v) { __hip_atomic_store(p, v, __ATOMIC_RELEASE, __HIP_MEMORY_SCOPE_AGENT); }
DEVICE void device_fence() { __builtin_amdgcn_fence(__ATOMIC_SEQ_CST, "agent"); }
DEVICE void wait_a_little() { __builtin_amdgcn_s_sleep(1); }
#elif ON_NVIDIA
template <class T> DEVICE T atomic_add(T* p, T v) { return atomicAdd(p, v); }
template <class T> DEVICE T atomic_max(T* p, T v) { return atomicMax(p, v); }
template <class T> DEVICE T atomic_min(T* p, T v) { return atomicMin(p, v); }
DEVICE u32 load_acquire(const u32* p) {
  u32 v;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
DEVICE void store_release(u32* p, u32 v) {
  asm volatile("st.release.gpu.global.u32 [%0], %1;" : : "l"(p), "r"(v) : "memory");
}
DEVICE void device_fence() { __threadfence(); }
DEVICE void wait_a_little() {}
#else
template <class T> DEVICE T atomic_add(T* p, T v) { return hiphost_atomic_add(p, v); }
template <class T> DEVICE T atomic_max(T* p, T v) { return hiphost_atomic_max(p, v); }
template <class T> DEVICE T atomic_min(T* p, T v) { return hiphost_atomic_min(p, v); }
DEVICE u32 load_acquire(const u32* p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
DEVICE void store_release(u32* p, u32 v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
DEVICE void device_fence() { __threadfence(); }
DEVICE void wait_a_little() { hiphost_pause(); }
#endif

/** `counter` counts arrivals over all uses; the wait is for the next multiple of the grid's size (wraps at 2^32). */
DEVICE void grid_sync(u32* counter) {
  block_sync();
  if (thread_id() == 0) {
    device_fence();
    const u32 blocks = u32(grid_size()), ticket = atomic_add(counter, 1u);
    const u32 target = ticket - ticket % blocks + blocks;
    while (i32(load_acquire(counter) - target) < 0) wait_a_little();
    device_fence();
  }
  block_sync();
}
