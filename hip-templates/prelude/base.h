// base.h: where every template starts: which compiler reads this, number names, f16 and bf16 storage, WAVE and BLOCK.
// The ON_* macros, like everything else that knows a platform, are for prelude/ alone. No header of a system or vendor
// is included anywhere: hipRTC and NVRTC have none, and a C++ compiler starts twice as fast without.
//
// Options every compiler needs: C++17 (hipRTC before 7 defaults to 14). None may get -ffast-math or --use_fast_math:
// fast_* in math.h say where less accuracy is wanted.
#pragma once

#if defined(__HIPCC__) || defined(__HIP__)
#define ON_AMD 1
#define ON_NVIDIA 0
#define ON_HOST 0
#elif defined(__CUDACC__)
#define ON_AMD 0
#define ON_NVIDIA 1
#define ON_HOST 0
#else
#define ON_AMD 0
#define ON_NVIDIA 0
#define ON_HOST 1
#endif

// ---- numbers -------------------------------------------------------------------------------------------------------

typedef unsigned char u8;
typedef signed char i8;
typedef unsigned short u16;
typedef short i16;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;
typedef long long i64;
typedef decltype(sizeof(0)) size_t;
typedef float f32_t;

static_assert(sizeof(u16) == 2 && sizeof(u32) == 4 && sizeof(u64) == 8, "an ILP32 or LP64 data model");

#if ON_AMD
#include "prelude/amd.h"
#elif ON_NVIDIA
#include "prelude/nvidia.h"
#else
#include "prelude/host.h"
#define DEVICE inline __attribute__((always_inline))
#endif

/** For functions that constants are computed with: GPU compilers evaluate those as host code. */
#if ON_AMD || ON_NVIDIA
#define CONSTANT __host__ __device__ constexpr
#else
#define CONSTANT constexpr
#endif

/** The same bits as another type of the same size. */
template <class To, class From>
DEVICE constexpr To bit_cast(const From& v) {
  return __builtin_bit_cast(To, v);
}

#if defined(__clang__) || ON_NVIDIA
#define UNROLL _Pragma("unroll")  // stands before a loop of constant length: its array elements become registers
#define KEEP_LOOP _Pragma("unroll 1")  // before a loop whose body is large already: copies of it would not fit the cache
#else
#define UNROLL _Pragma("GCC unroll 64")
#define KEEP_LOOP _Pragma("GCC unroll 1")
#endif

[[maybe_unused]] constexpr float INF = __builtin_bit_cast(float, 0x7f800000u);

// ---- the launch ----------------------------------------------------------------------------------------------------

#if ON_AMD && defined(P_WAVE)
constexpr int WAVE = P_WAVE;  // for -mwavefrontsize64 on a target whose own is 32
#elif ON_AMD && defined(__GFX9__)
constexpr int WAVE = 64;
#elif ON_AMD || ON_NVIDIA
constexpr int WAVE = 32;
#elif defined(P_WAVE)
constexpr int WAVE = P_WAVE;
#else
constexpr int WAVE = 1;
#endif

#ifndef P_BLOCK  // threads of a block
#if ON_HOST
#define P_BLOCK 1
#else
#define P_BLOCK 256
#endif
#endif
constexpr int BLOCK = P_BLOCK;
static_assert(BLOCK >= 1 && BLOCK <= 1024 && BLOCK % WAVE == 0,
              "P_BLOCK must be a whole number of waves, at most 1024");
[[maybe_unused]] constexpr int WAVES = BLOCK / WAVE;

/** Begins a kernel: `KERNEL void name(…)`. Where kernels are stages of one launch it is DEVICE: plain functions. */
#define KERNEL LAUNCHED_KERNEL
#if ON_NVIDIA && defined(P_BLOCKS_PER_CU)  // so many blocks must find room on a CU: bounds their registers
#define LAUNCHED_KERNEL extern "C" __global__ __launch_bounds__(BLOCK, P_BLOCKS_PER_CU)
#elif ON_AMD && defined(P_BLOCKS_PER_CU)
#if defined(__GFX9__)
constexpr int SIMDS = 4;  // of a CU
#else
constexpr int SIMDS = 2;
#endif
#define LAUNCHED_KERNEL                            \
  extern "C" __global__ __launch_bounds__(BLOCK) \
      __attribute__((amdgpu_waves_per_eu((WAVES * P_BLOCKS_PER_CU + SIMDS - 1) / SIMDS)))
#else
#define LAUNCHED_KERNEL extern "C" __global__ __launch_bounds__(BLOCK)
#endif

// Where kernels are stages of one launch (P_STAGED), compilers would compute what depends on the thread and the block alone
// for all stages at once, ahead of the loop over calls, and run out of registers. A value that an empty asm may have changed
// is computed where it is needed.
#if !defined(P_STAGED) || ON_HOST
DEVICE int of_stage(int v) { return v; }
DEVICE int of_stage_uniform(int v) { return v; }
#else
template <bool UNIFORM> DEVICE int rematerialized(int v, int limit) {
#if ON_NVIDIA
  asm volatile("" : "+r"(v));
#else
  if constexpr (UNIFORM) asm volatile("" : "+s"(v));
  else asm volatile("" : "+v"(v));
#endif
  __builtin_assume(v >= 0 && v < limit);
  return v;
}
DEVICE int of_stage(int v) { return rematerialized<false>(v, BLOCK); }
DEVICE int of_stage_uniform(int v) { return rematerialized<true>(v, 0x7fffffff); }
#endif

#if ON_AMD
DEVICE int thread_id() { return BLOCK == 1 ? 0 : of_stage(int(__builtin_amdgcn_workitem_id_x())); }
DEVICE int block_id() { return of_stage_uniform(int(__builtin_amdgcn_workgroup_id_x())); }
DEVICE int grid_size() { return of_stage_uniform(int(rf_grid_size())); }
#elif ON_NVIDIA
DEVICE int thread_id() { return of_stage(int(threadIdx.x)); }
DEVICE int block_id() { return of_stage_uniform(int(blockIdx.x)); }
DEVICE int grid_size() { return of_stage_uniform(int(gridDim.x)); }
#else
/** Index of this thread in its block, 0 … BLOCK-1. */
DEVICE int thread_id() { return int(hiphost_thread()); }
/** Index of this block in the grid, and the grid's blocks. */
DEVICE int block_id() { return int(blockIdx.x); }
DEVICE int grid_size() { return int(gridDim.x); }
#endif
/** Index of this thread in its wave, and of the wave in its block. */
DEVICE int lane_id() { return thread_id() % WAVE; }
DEVICE int wave_id() { return thread_id() / WAVE; }

/** What stands before this is issued before what stands after it, where a compiler would move loads up at any price. */
DEVICE void scheduling_barrier() {
#if ON_AMD && __has_builtin(__builtin_amdgcn_sched_barrier)
  __builtin_amdgcn_sched_barrier(0);
#endif
}

/**
 * Says that nothing of what v held is wanted, at no cost. Where kernels are stages of one launch, a compiler that sees a path
 * on which a variable is not set before it is read keeps it alive from stage to stage.
 */
template <class T> DEVICE void unset([[maybe_unused]] T& v) {
#if defined(P_STAGED) && !ON_HOST
  struct raw {
    u32 w[sizeof(T) / 4];
  };
  raw r;
#if ON_AMD
  UNROLL for (u32 i = 0; i < sizeof(T) / 4; i++) asm volatile("" : "=v"(r.w[i]));
#else
  UNROLL for (u32 i = 0; i < sizeof(T) / 4; i++) asm volatile("mov.u32 %0, 0;" : "=r"(r.w[i]));  // ptxas too must see it set
#endif
  v = bit_cast<T>(r);
#endif
}

template <class T, int N> DEVICE void unset(T (&v)[N]) {
  UNROLL for (int i = 0; i < N; i++) unset(v[i]);
}

// ---- f16 and bf16 --------------------------------------------------------------------------------------------------

/** bf16 bits of `v`, rounded to nearest even; NaN stays NaN. */
DEVICE u16 bf16_bits(float v) {
#if ON_AMD && defined(__gfx950__)
  return bit_cast<u16>((__bf16)v);
#else
  const u32 u = bit_cast<u32>(v);
  const u32 rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
  return u16((u & 0x7fffffff) > 0x7f800000 ? (u >> 16 | 0x40) : rounded);
#endif
}
DEVICE float bf16_value(u16 bits) { return bit_cast<float>(u32(bits) << 16); }

#if ON_AMD
DEVICE u16 f16_bits(float v) { return bit_cast<u16>((_Float16)v); }
DEVICE float f16_value(u16 bits) { return (float)bit_cast<_Float16>(bits); }
#elif ON_NVIDIA
DEVICE u16 f16_bits(float v) {
  u16 bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(v));
  return bits;
}
DEVICE float f16_value(u16 bits) {
  float v;
  asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(bits));
  return v;
}
#else
/**
 * f16 bits of `v`, rounded to nearest even. A normal result is v's bits rounded at bit 13 and rebiased; a subnormal one
 * is what v + 0.5 leaves in its lowest bits, rounded by the addition.
 */
DEVICE u16 f16_bits(float v) {
#if defined(__F16C__)
  typedef float four __attribute__((vector_size(16)));
  return u16(__builtin_ia32_vcvtps2ph(four{v}, 0)[0]);
#else
  const u32 u = bit_cast<u32>(v), magnitude = u & 0x7fffffff;
  const u32 normal = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
  const u32 subnormal = bit_cast<u32>(bit_cast<float>(magnitude) + 0.5f) - 0x3f000000;
  const u32 finite = magnitude < (113u << 23) ? subnormal : normal;
  const u32 special = magnitude > 0x7f800000 ? (0x7e00 | (magnitude >> 13 & 0x3ff)) : 0x7c00;
  return u16((magnitude >= 0x477ff000 ? special : finite) | (u >> 16 & 0x8000));
#endif
}
/** The exponent is rebiased by a product, which also gives subnormals their value. */
DEVICE float f16_value(u16 bits) {
#if defined(__F16C__)
  typedef short eight __attribute__((vector_size(16)));
  return __builtin_ia32_vcvtph2ps(eight{short(bits)})[0];
#else
  const u32 magnitude = u32(bits & 0x7fff) << 13;
  const u32 scaled = bit_cast<u32>(bit_cast<float>(magnitude) * bit_cast<float>(0x77800000u));
  return bit_cast<float>((magnitude >= 0x0f800000 ? (magnitude | 0x7f800000) : scaled) | u32(bits & 0x8000) << 16);
#endif
}
#endif

/** IEEE half in memory. Arithmetic is in f32: convert explicitly, once each way. */
struct f16_t {
  u16 bits;
  f16_t() = default;
  DEVICE explicit f16_t(float v) : bits(f16_bits(v)) {}
  DEVICE explicit operator float() const { return f16_value(bits); }
};

/** The upper half of an f32 in memory; converts as f16_t. */
struct bf16_t {
  u16 bits;
  bf16_t() = default;
  DEVICE explicit bf16_t(float v) : bits(bf16_bits(v)) {}
  DEVICE explicit operator float() const { return bf16_value(bits); }
};

#ifndef P_ELEM  // type of activations: f32_t, f16_t or bf16_t
#define P_ELEM f32_t
#endif
typedef P_ELEM elem_t;

// ---- small integers ------------------------------------------------------------------------------------------------

template <class T> CONSTANT T min_int(T a, T b) { return b < a ? b : a; }
template <class T> CONSTANT T max_int(T a, T b) { return a < b ? b : a; }
/** ceil(a / b) for a ≥ 0, b > 0 */
template <class T> CONSTANT T ceil_div(T a, T b) { return (a + b - 1) / b; }
