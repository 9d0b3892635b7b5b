// host.h: the HIP language on a CPU. base.h includes it when neither a HIP nor a CUDA compiler reads the source.
//
//   fast mode       (default)            a block is one thread: a kernel is a plain loop, barriers and shuffles vanish
//   emulation mode  (-DHIPHOST_EMULATE=1) the GPU's own block and wave size (-DP_WAVE=32|64); threads are fibers of
//                   libhiphost, which switches them at barriers and wave operations
//
// The first part is the contract between kernels and libhiphost; the library includes it with HIPHOST_ABI_ONLY.
// After the template's text the compile step appends HIPHOST_ENTRY(kernel) for each kernel: it exports the constant
// `kernel__hiphost`, by which the library finds, checks and runs the kernel.
#ifndef ROCMFORGE_PRELUDE_HOST_H
#define ROCMFORGE_PRELUDE_HOST_H

// ---- contract with libhiphost --------------------------------------------------------------------------------------

#define HIPHOST_ABI 2  // changes with any change of the structs below

struct hiphost_dim3 {
  unsigned x, y, z;
};

/** What a running block knows; one object per OS thread, its fibers share it. */
struct hiphost_block {
  hiphost_dim3 grid_dim, block_dim, block_id;
  hiphost_dim3 thread_id;            // of the fiber that runs now
  void* dynamic_lds;                 // as many bytes as the launch requests
  unsigned long long serial;         // grows with each block that this OS thread runs: says when static LDS is stale
  const struct hiphost_services* services;
  void* library;                     // the library's own view of this block
};

/** What the library does for a kernel in emulation mode. */
struct hiphost_services {
  /** runs `thread(params)` once for every thread of the block; waves have `wave` lanes */
  void (*run_block)(hiphost_block*, void (*thread)(void** params), void** params, unsigned wave);
  /** barrier of the block's live threads */
  void (*barrier)(hiphost_block*);
  /** exchange among the wave's live lanes: gives their values by lane, and who took part */
  const unsigned long long* (*exchange)(hiphost_block*, unsigned operation, unsigned long long value,
                                    unsigned long long* participants);
  /** LDS of this block, aligned to 64 bytes, filled with NaN patterns */
  void* (*lds)(hiphost_block*, unsigned long long bytes);
  /** lets the other threads of the block run, and other OS threads; for loops that wait for another block */
  void (*yield)(hiphost_block*);
  /** ends the launch with an error; does not return */
  void (*fault)(hiphost_block*, const char* message);
};

/** What HIPHOST_ENTRY exports. `run` computes the blocks first … last-1 of the grid in x-fastest order. */
struct hiphost_kernel {
  unsigned abi;
  unsigned wave;         // lanes of a wave; 0 in fast mode
  unsigned max_threads;  // of a block
  unsigned arg_count;
  const unsigned* arg_sizes;  // bytes
  void (*run)(void** params, hiphost_block*, unsigned long long first, unsigned long long last);
};

#ifndef HIPHOST_ABI_ONLY

// ---- keywords ------------------------------------------------------------------------------------------------------

#ifndef HIPHOST_EMULATE
#define HIPHOST_EMULATE 0
#endif
#if !HIPHOST_EMULATE && defined(P_BLOCK)
#if P_BLOCK != 1
#error "fast host mode runs blocks of one thread: pass -DP_BLOCK=1, or -DHIPHOST_EMULATE=1"
#endif
#endif
#if HIPHOST_EMULATE && !defined(P_WAVE)
#error "emulation needs the wave size: pass -DP_WAVE=32 or 64"
#endif

#define __global__ __attribute__((visibility("hidden")))
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)

static thread_local hiphost_block* hiphost_self;

#define gridDim (hiphost_self->grid_dim)
#define blockIdx (hiphost_self->block_id)

// ---- threads, LDS, wave operations ---------------------------------------------------------------------------------

#if HIPHOST_EMULATE

#define threadIdx (hiphost_self->thread_id)
#define blockDim (hiphost_self->block_dim)
#define __shared__ static thread_local  // an OS thread runs one block at a time

// Not inlined: a barrier must not let the compiler carry a fiber's view of memory across it.
[[maybe_unused]] static __attribute__((noinline)) void hiphost_barrier() { hiphost_self->services->barrier(hiphost_self); }

inline unsigned hiphost_thread() {
  const hiphost_block& b = *hiphost_self;
  return b.thread_id.x + b.block_dim.x * (b.thread_id.y + b.block_dim.y * b.thread_id.z);
}
inline unsigned hiphost_lane() { return hiphost_thread() % P_WAVE; }

enum : unsigned { HIPHOST_SHFL = 1, HIPHOST_BALLOT = 2 };

/** `v` of lane `lane` (taken modulo the wave size); values of any size, moved in words of 8 bytes. */
template <class T>
inline T hiphost_shfl(T v, int lane) {
  const unsigned from = unsigned(lane) % P_WAVE;
  T out;
  for (unsigned at = 0; at < sizeof(T); at += 8) {
    const unsigned n = sizeof(T) - at < 8 ? sizeof(T) - at : 8;
    unsigned long long word = 0, participants;
    __builtin_memcpy(&word, reinterpret_cast<const char*>(&v) + at, n);
    const unsigned long long* words = hiphost_self->services->exchange(hiphost_self, HIPHOST_SHFL, word, &participants);
    if (!(participants >> from & 1)) hiphost_self->services->fault(hiphost_self, "a shuffle reads a lane that is not there");
    __builtin_memcpy(reinterpret_cast<char*>(&out) + at, &words[from], n);
  }
  return out;
}
template <class T>
inline T hiphost_shfl_xor(T v, int mask) {
  return hiphost_shfl(v, int(hiphost_lane()) ^ mask);
}
/** bit n: lane n is there and its predicate holds */
inline unsigned long long hiphost_ballot(bool predicate) {
  unsigned long long participants, bits = 0;
  const unsigned long long* words = hiphost_self->services->exchange(hiphost_self, HIPHOST_BALLOT, predicate, &participants);
  for (unsigned lane = 0; lane < P_WAVE; lane++)
    if (participants >> lane & 1) bits |= words[lane] << lane;
  return bits;
}
inline bool hiphost_any(bool predicate) { return hiphost_ballot(predicate) != 0; }
inline bool hiphost_all(bool predicate) { return hiphost_ballot(!predicate) == 0; }

inline void hiphost_pause() { hiphost_self->services->yield(hiphost_self); }

template <class T, int N, class Site>
inline T (&hiphost_static_lds())[N] {
  static thread_local struct {
    unsigned long long serial;
    T (*data)[N];
  } slot;
  if (slot.serial != hiphost_self->serial) {
    slot.data = static_cast<T(*)[N]>(hiphost_self->services->lds(hiphost_self, sizeof(T) * N));
    slot.serial = hiphost_self->serial;
  }
  return *slot.data;
}
/** A static LDS array: `T name[n]`. Unlike `__shared__`, the sanitizers see its bounds. */
#define HIPHOST_LDS(T, name, n) \
  struct name##_lds_site;       \
  T(&name)[n] = hiphost_static_lds<T, n, name##_lds_site>()

#else  // fast mode

constexpr hiphost_dim3 hiphost_first_thread = {0, 0, 0}, hiphost_one_thread = {1, 1, 1};
#define threadIdx hiphost_first_thread
#define blockDim hiphost_one_thread
#define __shared__  // a block of one thread keeps its LDS on the stack

inline void hiphost_barrier() {}
constexpr unsigned hiphost_thread() { return 0; }
constexpr unsigned hiphost_lane() { return 0; }
template <class T> inline T hiphost_shfl(T v, int) { return v; }
template <class T> inline T hiphost_shfl_xor(T v, int) { return v; }
inline unsigned long long hiphost_ballot(bool predicate) { return predicate; }
inline bool hiphost_any(bool predicate) { return predicate; }
inline bool hiphost_all(bool predicate) { return predicate; }
inline void hiphost_pause() { hiphost_self->services->yield(hiphost_self); }
#define HIPHOST_LDS(T, name, n) alignas(64) T name[n]

#endif

/** The launch's dynamic LDS, aligned to 64 bytes. */
template <class T>
inline T* hiphost_dynamic_lds() {
  return static_cast<T*>(hiphost_self->dynamic_lds);
}

#define __syncthreads() hiphost_barrier()

// ---- atomics and fences: blocks run on several OS threads ----------------------------------------------------------

inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __atomic_thread_fence(__ATOMIC_ACQ_REL); }

template <class T> inline T hiphost_atomic_add(T* p, T v) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); }
template <class T> inline T hiphost_atomic_or(T* p, T v) { return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST); }
template <class T> inline T hiphost_atomic_and(T* p, T v) { return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST); }
template <class T> inline T hiphost_atomic_exchange(T* p, T v) { return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); }
/** gives the old value */
template <class T> inline T hiphost_atomic_cas(T* p, T expected, T desired) {
  __atomic_compare_exchange_n(p, &expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return expected;
}
/** *p = f(*p), atomically, for any 4- or 8-byte T; gives the old value */
template <class T, class F> inline T hiphost_atomic_update(T* p, F f) {
  T old, now;
  __atomic_load(p, &old, __ATOMIC_RELAXED);
  do now = f(old);
  while (!__atomic_compare_exchange(p, &old, &now, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
  return old;
}
inline float hiphost_atomic_add(float* p, float v) {
  return hiphost_atomic_update(p, [v](float old) { return old + v; });
}
template <class T> inline T hiphost_atomic_max(T* p, T v) {
  return hiphost_atomic_update(p, [v](T old) { return old < v ? v : old; });
}
template <class T> inline T hiphost_atomic_min(T* p, T v) {
  return hiphost_atomic_update(p, [v](T old) { return v < old ? v : old; });
}

// ---- entry points --------------------------------------------------------------------------------------------------

#if HIPHOST_EMULATE
constexpr unsigned hiphost_wave = P_WAVE;
#ifdef P_BLOCK
constexpr unsigned hiphost_max_threads = P_BLOCK;
#else
constexpr unsigned hiphost_max_threads = 1024;
#endif
#else
constexpr unsigned hiphost_wave = 0, hiphost_max_threads = 1;
#endif

template <unsigned... I>
struct hiphost_indices {};
#if defined(__clang__)
template <class T, T... I>
using hiphost_indices_of = hiphost_indices<I...>;
template <unsigned N>
using hiphost_count = __make_integer_seq<hiphost_indices_of, unsigned, N>;
#else
template <unsigned N>
using hiphost_count = hiphost_indices<__integer_pack(N)...>;
#endif

template <auto Kernel>
struct hiphost_entry;

template <class... Args, void (*Kernel)(Args...)>
struct hiphost_entry<Kernel> {
  template <unsigned... I>
  static void call(void** params, hiphost_indices<I...>) {
    (void)params;
    Kernel(*static_cast<Args*>(params[I])...);
  }
  static void thread(void** params) { call(params, hiphost_count<sizeof...(Args)>{}); }

  static void run(void** params, hiphost_block* block, unsigned long long first, unsigned long long last) {
    hiphost_self = block;
    const unsigned gx = block->grid_dim.x, gy = block->grid_dim.y;
    for (unsigned long long b = first; b < last; b++) {
      block->block_id = {unsigned(b % gx), unsigned(b / gx % gy), unsigned(b / gx / gy)};
#if HIPHOST_EMULATE
      block->services->run_block(block, &thread, params, hiphost_wave);
#else
      thread(params);
#endif
    }
  }

  static constexpr unsigned sizes[sizeof...(Args) + 1] = {sizeof(Args)...};
  static constexpr hiphost_kernel kernel = {HIPHOST_ABI, hiphost_wave, hiphost_max_threads, sizeof...(Args), sizes, &run};
};

#define HIPHOST_ENTRY(name)                                                                         \
  extern "C" __attribute__((visibility("default"))) const hiphost_kernel name##__hiphost;     \
  const hiphost_kernel name##__hiphost = hiphost_entry<&name>::kernel;

#endif  // HIPHOST_ABI_ONLY
#endif
