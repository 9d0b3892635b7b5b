// wave.h: a wave's lanes together. Every lane of the wave must take part. Values are of 4 or 8 bytes.
//   wave_shfl(v, lane) · wave_shfl_xor(v, mask) · wave_ballot(p) -> u64, bit n from lane n
//   wave_reduce(v, Op{})      over the wave, to all lanes; vanishes at WAVE == 1
//   group_reduce<G>(v, Op{})  over each aligned group of G lanes, to all lanes of the group
//   wave_reduce_each(v, Op{})  of V values a lane at once, a power of two ≤ WAVE: lane l gets that of value l / (WAVE / V)
//   wave_sync()               what lanes of the wave wrote to LDS before it, its other lanes read after it
//   wave_uniform(v)           v, where all lanes hold the same: into a scalar register on AMD
//   rematerialized_thread_id()          thread_id(), anew where it stands: what depends on it is not kept through the loops around
//   rematerialize(v)                   v, of which a compiler does not know that it is the same each time
//   by_lane(p)                p in vector registers on AMD
#pragma once
#include "prelude/base.h"

struct Add { template <class T> DEVICE T operator()(T a, T b) const { return a + b; } };
struct Max { template <class T> DEVICE T operator()(T a, T b) const { return a > b ? a : b; } };
struct Min { template <class T> DEVICE T operator()(T a, T b) const { return a < b ? a : b; } };

/** A value and where it was found. */
struct Indexed {
  float value;
  i32 index;
};
/** The larger value; of equal ones the lower index. */
struct ArgMax {
  DEVICE Indexed operator()(Indexed a, Indexed b) const {
    const bool first = a.value > b.value || (a.value == b.value && a.index < b.index);
    // by member: a choice between structs goes through memory
    return {first ? a.value : b.value, first ? a.index : b.index};
  }
};

#if ON_AMD
/** f of each 32-bit word of v */
template <class T, class F> DEVICE T by_words(T v, F f) {
  struct raw {
    i32 w[sizeof(T) / 4];
  };
  raw r = bit_cast<raw>(v);
  UNROLL for (int i = 0; i < int(sizeof(T) / 4); i++) r.w[i] = f(r.w[i]);
  return bit_cast<T>(r);
}
struct FromLane {
  i32 address;  // 4 · lane
  DEVICE i32 operator()(i32 w) const { return __builtin_amdgcn_ds_bpermute(address, w); }
};
// DPP moves data between the lanes of a row of 16 within the vector unit; ds_* instructions go through the LDS unit. The
// move stays an instruction of its own: folded into an addition it would read other lanes of the register that it writes,
// which simulators of the ISA get wrong; on hardware the four moves of a reduction are not seen.
template <int CONTROL> struct Dpp {
  DEVICE i32 operator()(i32 w) const {
    i32 moved = __builtin_amdgcn_update_dpp(0, w, CONTROL, 0xf, 0xf, false);
    asm("" : "+v"(moved));
    return moved;
  }
};
#if !defined(__GFX9__)
struct SwapRows {  // lane ^ 16
  DEVICE i32 operator()(i32 w) const {
    return __builtin_amdgcn_permlanex16(0, w, 0x76543210, 0xfedcba98, false, false);
  }
};
#endif
template <int LANE> struct ReadLane {
  DEVICE i32 operator()(i32 w) const { return __builtin_amdgcn_readlane(w, LANE); }
};
struct ReadFirstLane {
  DEVICE i32 operator()(i32 w) const { return __builtin_amdgcn_readfirstlane(w); }
};

DEVICE void wave_sync() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "wavefront");
  __builtin_amdgcn_wave_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "wavefront");
}
template <class T> DEVICE T wave_shfl(T v, int lane) { return by_words(v, FromLane{(lane & (WAVE - 1)) * 4}); }
template <class T> DEVICE T wave_shfl_xor(T v, int mask) { return wave_shfl(v, lane_id() ^ mask); }
template <class T> DEVICE T wave_uniform(T v) { return by_words(v, ReadFirstLane{}); }
/** p, an address of global memory, kept in vector registers: for kernels that have more addresses and masks of lanes than scalar ones. */
template <class T> DEVICE T* by_lane(T* p) {
  if constexpr (WAVE < 64) return p;  // masks of 32 lanes take half
  const u64 bits = u64(p);
  u32 low = u32(bits), high = u32(bits >> 32);
  asm("" : "+v"(low), "+v"(high));
  return (T*)(__attribute__((address_space(1))) T*)(u64(high) << 32 | low);  // global_load, not flat_load
}
/**
 * Compilers compare thread_id() ahead of every loop around, and keep what comes of it, masks of lanes, in scalar registers
 * all the while.
 */
DEVICE int rematerialized_thread_id() {
  int thread = thread_id();
  asm volatile("" : "+v"(thread));
  __builtin_assume(thread >= 0 && thread < BLOCK);
  return thread;
}
DEVICE int rematerialize(int v) {
  asm volatile("" : "+v"(v));
  return v;
}
#if !__has_builtin(__builtin_amdgcn_ballot_w64)  // hipRTC 5
DEVICE u64 wave_ballot(bool p) { return __ballot(p); }
#elif defined(__GFX9__) || (defined(P_WAVE) && P_WAVE == 64)
DEVICE u64 wave_ballot(bool p) { return __builtin_amdgcn_ballot_w64(p); }
#else
DEVICE u64 wave_ballot(bool p) { return __builtin_amdgcn_ballot_w32(p); }
#endif

template <int G, class T, class Op> DEVICE T group_reduce(T v, Op op) {
  static_assert(G >= 1 && G <= WAVE && (G & (G - 1)) == 0, "a group is 1, 2, 4 … WAVE lanes");
  if constexpr (G >= 2) v = op(v, by_words(v, Dpp<0xb1>{}));    // lane ^ 1
  if constexpr (G >= 4) v = op(v, by_words(v, Dpp<0x4e>{}));    // lane ^ 2
  if constexpr (G >= 8) v = op(v, by_words(v, Dpp<0x141>{}));   // lane ^ 7: the other four
  if constexpr (G >= 16) v = op(v, by_words(v, Dpp<0x140>{}));  // lane ^ 15: the other eight
#if defined(__GFX9__)
  if constexpr (G >= 32) v = op(v, wave_shfl_xor(v, 16));
#else
  if constexpr (G >= 32) v = op(v, by_words(v, SwapRows{}));
#endif
  if constexpr (G >= 64) v = op(v, wave_shfl_xor(v, 32));
  return v;
}
template <class T, class Op> DEVICE T wave_reduce(T v, Op op) {
#if defined(__GFX9__)
  v = group_reduce<16>(v, op);  // then one value a row: four scalar reads are cheaper than two trips through LDS
  return op(op(by_words(v, ReadLane<0>{}), by_words(v, ReadLane<16>{})),
            op(by_words(v, ReadLane<32>{}), by_words(v, ReadLane<48>{})));
#else
  return group_reduce<WAVE>(v, op);
#endif
}

#else  // NVIDIA and the host

#if ON_NVIDIA
DEVICE void wave_sync() { __syncwarp(); }
DEVICE int rematerialize(int v) {
  asm volatile("" : "+r"(v));
  return v;
}
template <class T> DEVICE T wave_shfl(T v, int lane) {
  struct raw {
    u32 w[sizeof(T) / 4];
  };
  raw r = bit_cast<raw>(v);
  UNROLL for (int i = 0; i < int(sizeof(T) / 4); i++) r.w[i] = __shfl_sync(0xffffffffu, r.w[i], lane);
  return bit_cast<T>(r);
}
template <class T> DEVICE T wave_shfl_xor(T v, int mask) {
  struct raw {
    u32 w[sizeof(T) / 4];
  };
  raw r = bit_cast<raw>(v);
  UNROLL for (int i = 0; i < int(sizeof(T) / 4); i++) r.w[i] = __shfl_xor_sync(0xffffffffu, r.w[i], mask);
  return bit_cast<T>(r);
}
DEVICE u64 wave_ballot(bool p) { return __ballot_sync(0xffffffffu, p); }
#else
DEVICE void wave_sync() { hiphost_ballot(true); }
DEVICE int rematerialize(int v) { return v; }
template <class T> DEVICE T wave_shfl(T v, int lane) { return hiphost_shfl(v, lane); }
template <class T> DEVICE T wave_shfl_xor(T v, int mask) { return hiphost_shfl_xor(v, mask); }
DEVICE u64 wave_ballot(bool p) { return hiphost_ballot(p); }
#endif
template <class T> DEVICE T wave_uniform(T v) { return v; }
template <class T> DEVICE T* by_lane(T* p) { return p; }
DEVICE int rematerialized_thread_id() { return thread_id(); }

template <int G, class T, class Op> DEVICE T group_reduce(T v, Op op) {
  static_assert(G >= 1 && G <= WAVE && (G & (G - 1)) == 0, "a group is 1, 2, 4 … WAVE lanes");
  UNROLL for (int mask = 1; mask < G; mask *= 2) v = op(v, wave_shfl_xor(v, mask));
  return v;
}
template <class T, class Op> DEVICE T wave_reduce(T v, Op op) { return group_reduce<WAVE>(v, op); }
#endif

/** The reductions of V values over each group of LANES: lane l of the group gets that of value l / (LANES / V). */
template <int LANES, int V, class T, class Op> DEVICE T group_reduce_each(const T (&v)[V], Op op) {
  if constexpr (V == 1) {
    return group_reduce<LANES>(v[0], op);
  } else {  // the halves of the group divide the values among them: V - 1 exchanges in all
    const bool upper = lane_id() & (LANES / 2);
    T own[V / 2];
    UNROLL for (int i = 0; i < V / 2; i++) {
      // moved, not chosen: a choice between two elements becomes an index, known too late for registers
      T kept = v[i], given = v[i + V / 2];
      if (upper) kept = v[i + V / 2], given = v[i];
      own[i] = op(kept, wave_shfl_xor(given, LANES / 2));
    }
    return group_reduce_each<LANES / 2, V / 2>(own, op);
  }
}
template <int V, class T, class Op> DEVICE T wave_reduce_each(const T (&v)[V], Op op) {
  return group_reduce_each<WAVE>(v, op);
}
