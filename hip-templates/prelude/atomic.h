// atomic.h: atomics between all threads of the device, and what a wait for another block needs.
//   atomic_add(p, v)  f32, i32, u32       gives the old value, as do atomic_max(p, v), atomic_min(p, v)  i32, u32;
//                                         relaxed
//   atomic_add_ordered(p, v)              u32; what is before it is seen by whoever adds after it, and the other way round
//   load_acquire(p), store_release(p, v)  u32 flags between blocks
//   release_add(p, v)                     u32: adds, and writes before it are seen by whoever sees that
//   device_clock()                        u64: nanoseconds on NVIDIA, 10 ns on AMD, of a clock that all share; host: 0
//   store_for_host(p, v)                  u64: a host that shares the memory sees all of it or nothing, soon
//   device_fence()                        writes before it are seen by other blocks before those after it
//   grid_sync(barrier)                    barrier of all blocks of the grid; every block must be resident, barrier starts at 0
//   grid_arrive(barrier, ticket), grid_wait(…)  its halves, for work in between and for a bound on the wait
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
DEVICE u32 atomic_add_ordered(u32* p, u32 v) {
  return __hip_atomic_fetch_add(p, v, __ATOMIC_ACQ_REL, __HIP_MEMORY_SCOPE_AGENT);
}
DEVICE u32 load_acquire(const u32* p) { return __hip_atomic_load(p, __ATOMIC_ACQUIRE, __HIP_MEMORY_SCOPE_AGENT); }
DEVICE void store_release(u32* p, u32 v) { __hip_atomic_store(p, v, __ATOMIC_RELEASE, __HIP_MEMORY_SCOPE_AGENT); }
DEVICE void store_for_host(u64* p, u64 v) { __hip_atomic_store(p, v, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_SYSTEM); }
/** Where L2 is several, a fence writes it back: until that is done. Compilers leave the wait out behind a fence alone. */
DEVICE void wait_for_write_back() {
#if defined(__gfx942__) || defined(__gfx950__)
  __builtin_amdgcn_s_waitcnt(0);
#endif
}
DEVICE void device_fence() {
  __builtin_amdgcn_fence(__ATOMIC_SEQ_CST, "agent");
  wait_for_write_back();
}
/** In front of a block_sync, in every thread: a block's barrier does not wait for stores to reach other compute units. */
DEVICE void device_release() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "agent");
  wait_for_write_back();
}
DEVICE void release_add(u32* p, u32 v) {
  device_fence();
  atomic_add(p, v);
}
DEVICE void device_acquire() { device_fence(); }
DEVICE void spin_pause() { __builtin_amdgcn_s_sleep(1); }
/** Ticks of a clock that all compute units share, 10 ns each. */
DEVICE u64 device_clock() {
  u64 ticks;
#if defined(__GFX9__) || defined(__GFX10__)
  asm volatile("s_memrealtime %0\ns_waitcnt lgkmcnt(0)" : "=s"(ticks)::"memory");
#else
  asm volatile("s_sendmsg_rtn_b64 %0, sendmsg(MSG_RTN_GET_REALTIME)\ns_waitcnt lgkmcnt(0)" : "=s"(ticks)::"memory");
#endif
  return ticks;
}
#elif ON_NVIDIA
template <class T> DEVICE T atomic_add(T* p, T v) { return atomicAdd(p, v); }
template <class T> DEVICE T atomic_max(T* p, T v) { return atomicMax(p, v); }
template <class T> DEVICE T atomic_min(T* p, T v) { return atomicMin(p, v); }
DEVICE u32 atomic_add_ordered(u32* p, u32 v) {
  u32 old;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], %2;" : "=r"(old) : "l"(p), "r"(v) : "memory");
  return old;
}
DEVICE u32 load_acquire(const u32* p) {
  u32 v;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
DEVICE void store_release(u32* p, u32 v) {
  asm volatile("st.release.gpu.global.u32 [%0], %1;" : : "l"(p), "r"(v) : "memory");
}
DEVICE void store_for_host(u64* p, u64 v) {
  asm volatile("st.relaxed.sys.global.u64 [%0], %1;" : : "l"(p), "l"(v) : "memory");
}
DEVICE void device_fence() { __threadfence(); }
DEVICE void device_release() {}  // the fence of one thread behind a barrier stands for the whole block
DEVICE void release_add(u32* p, u32 v) { asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory"); }
DEVICE void device_acquire() {}  // a load_acquire in front of a barrier stands for the whole block
DEVICE void spin_pause() {}
DEVICE u64 device_clock() {
  u64 ns;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(ns)::"memory");
  return ns;
}
#else
template <class T> DEVICE T atomic_add(T* p, T v) { return hiphost_atomic_add(p, v); }
template <class T> DEVICE T atomic_max(T* p, T v) { return hiphost_atomic_max(p, v); }
template <class T> DEVICE T atomic_min(T* p, T v) { return hiphost_atomic_min(p, v); }
DEVICE u32 atomic_add_ordered(u32* p, u32 v) { return hiphost_atomic_add(p, v); }
DEVICE u32 load_acquire(const u32* p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
DEVICE void store_release(u32* p, u32 v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
DEVICE void store_for_host(u64* p, u64 v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
DEVICE void device_fence() { __threadfence(); }
DEVICE void device_release() {}
DEVICE void release_add(u32* p, u32 v) {
  __threadfence();
  atomic_add(p, v);
}
DEVICE void device_acquire() { __threadfence(); }
DEVICE void spin_pause() { hiphost_pause(); }
DEVICE u64 device_clock() { return 0; }
#endif

/** Of thread 0: how a block knows that a barrier is complete. */
struct grid_ticket {
  u32 round;
  u32 known;  // 0 at first
};

/**
 * First half of a barrier of all blocks (arrive): this block's writes are seen by whoever leaves the barrier. What
 * stands between the halves runs while others are awaited. Every block must be resident; `barrier` starts at 0 and may be
 * used for ever: block 0 adds what completes 2^31, so that each full round flips the top bit and leaves the rest as it was.
 * The first barrier of a launch asks what the bit was, and keeps it in its ticket; later ones know and await no answer.
 */
DEVICE void grid_arrive(u32* barrier, grid_ticket& ticket) {
  device_release();
  block_sync();
  if (thread_id() != 0) return;
  const u32 mine = block_id() == 0 ? 0x80000000u - u32(grid_size() - 1) : 1u;
  if (ticket.known) {
    release_add(barrier, mine);
    ticket.round ^= 0x80000000u;
  } else {
    device_fence();
    ticket.round = atomic_add(barrier, mine) & 0x80000000u;
    ticket.known = 1;
  }
}

/** Second half: waits for all blocks, polling at most `max_spins` times. False, in all threads, if they did not come. */
DEVICE bool grid_wait(u32* barrier, const grid_ticket& ticket, u32 max_spins) {
  LDS(u32, complete, 1);
  if (thread_id() == 0) {
    u32 polls = 0;
    bool met = ((load_acquire(barrier) ^ ticket.round) & 0x80000000u) != 0;
    for (; !met && polls < max_spins; polls++) {
      spin_pause();
      met = ((load_acquire(barrier) ^ ticket.round) & 0x80000000u) != 0;
    }
    complete[0] = met;
    device_acquire();
  }
  block_sync();
  return complete[0] != 0;
}

/** Barrier of all blocks of the grid. */
DEVICE void grid_sync(u32* barrier) {
  grid_ticket ticket = {0, 0};
  grid_arrive(barrier, ticket);
  while (!grid_wait(barrier, ticket, 0x7fffffffu)) block_sync();
}
