// row.h: a row of HIDDEN elements shared by the threads of a block: thread t has chunks t, t + BLOCK, … of it.
#pragma once
#ifndef P_HIDDEN
#define P_HIDDEN 4096  // D, elements of a row
#endif
#ifndef P_ALIGN
#define P_ALIGN 8  // a power of two that divides the start of every row, elements; on the host any
#endif
#include "prelude/block.h"

constexpr int HIDDEN = P_HIDDEN;
constexpr int CHUNK = min_int(VEC, P_ALIGN);
constexpr int CHUNKS = ceil_div(HIDDEN, CHUNK);
constexpr int CHUNKS_PER_THREAD = ceil_div(CHUNKS, BLOCK);
/** Short enough that a thread keeps its part of the row between two walks over it. */
constexpr bool IN_REGISTERS = CHUNKS_PER_THREAD * CHUNK <= 32;

typedef vec<float, CHUNK> chunk_t;

/** CHUNK elements from column d; what lies beyond the row is 0. */
template <class T> DEVICE chunk_t load_chunk(const T* row, int d) {
  if constexpr (HIDDEN % CHUNK == 0) return load<CHUNK>(row + d);
  else return load_tail<CHUNK>(row + d, HIDDEN - d);
}
template <class T> DEVICE void store_chunk(T* row, int d, const chunk_t& v) {
  if constexpr (HIDDEN % CHUNK == 0) store<CHUNK>(row + d, v);
  else store_tail<CHUNK>(row + d, v, HIDDEN - d);
}

/** f(d, i) for each chunk of this thread: its first column, and which of the thread's chunks it is. */
template <class F> DEVICE void each_chunk(F f) {
  if constexpr (IN_REGISTERS) {
    UNROLL for (int i = 0; i < CHUNKS_PER_THREAD; i++) {
      const int d = (thread_id() + i * BLOCK) * CHUNK;
      if (d < HIDDEN) f(d, i);
    }
  } else {
    for (int d = thread_id() * CHUNK; d < HIDDEN; d += BLOCK * CHUNK) f(d, 0);
  }
}

/** This thread's part of a row, kept if it is short, else computed again by `make(d)`. */
struct kept_row {
  chunk_t chunks[IN_REGISTERS ? CHUNKS_PER_THREAD : 1];
  DEVICE void keep(int i, const chunk_t& v) {
    if constexpr (IN_REGISTERS) chunks[i] = v;
  }
  template <class Make> DEVICE chunk_t get(int i, int d, Make make) const {
    if constexpr (IN_REGISTERS) return chunks[i];
    else return make(d);
  }
};
