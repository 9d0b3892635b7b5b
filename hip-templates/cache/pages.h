// pages.h: where a position of a request lies in the paged cache [P, Hkv, PAGE, C]: page page_table[r, p / PAGE], slot
// p mod PAGE. A negative page is none. And how elements of a row are kept:
//   f32_t f16_t bf16_t f8_t i32   one by one
//   q8_0_t                        blocks of 32: an f16 step and 32 i8 (GGUF's)
#pragma once
#ifndef P_KV_HEADS
#define P_KV_HEADS 8  // Hkv
#endif
#ifndef P_PAGE
#define P_PAGE 16  // positions of a page
#endif
#ifndef P_HEAD_DIM
#define P_HEAD_DIM 64  // C, channels of a head
#endif
#ifndef P_KV
#define P_KV f16_t  // element type of the cache
#endif
#include "prelude/block.h"
#include "prelude/f8.h"

/** A block of 32 elements. */
struct q8_0_t {
  u8 bytes[34];
};
/** Elements of a row that lie in one T. */
template <class T> struct kept {
  static constexpr int elems = 1;
};
template <> struct kept<q8_0_t> {
  static constexpr int elems = 32;
};

typedef P_KV kv_t;
constexpr int KV_HEADS = P_KV_HEADS, PAGE = P_PAGE, CHANNELS = P_HEAD_DIM, CACHE_BLOCK = kept<kv_t>::elems;
static_assert(CHANNELS % CACHE_BLOCK == 0, "a row must be whole blocks");

/** The page of `position`, from the pages of its request. */
DEVICE int page_of(const i32* pages, int position) { return pages[position / PAGE]; }
/** Index of channel 0 of a position's row in its page, in kv_t. */
DEVICE size_t cache_row(int page, int head, int position) {
  return ((size_t(page) * KV_HEADS + head) * PAGE + position % PAGE) * (CHANNELS / CACHE_BLOCK);
}

// ---- elements c … c+N-1 of a row; of q8_0 N is 8, 16 or 32 when loaded, and 32 when stored ---------------------------

template <int N, class T> DEVICE vec<float, N> load_cached(const T* row, int c) { return load<N>(row + c); }
template <int N> DEVICE vec<float, N> load_cached(const f8_t* row, int c) { return load_f8<N>(row + c); }
template <int N> DEVICE vec<float, N> load_cached(const q8_0_t* row, int c) { return q8_0_w::load<N>((const u8*)row, c); }

/**
 * N elements in flight: as they come from memory, so that what is in flight takes few registers; value() makes floats. Where
 * a wave is one lane, or elements are no whole words, they are floats at once.
 */
template <class T, int N, bool PACKED = (WAVE > 1 && (kept<T>::elems > 1 || (sizeof(T) < 4 && N * sizeof(T) % 4 == 0)))> struct packed_chunk {
  vec<float, N> v;
  DEVICE void load(const T* row, int c) { v = load_cached<N>(row, c); }
  DEVICE void clear() { v = splat<N>(0.f); }
  DEVICE vec<float, N> value() const { return v; }
};
template <class T, int N> struct packed_chunk<T, N, true> {
  static constexpr int BYTES = N * int(sizeof(T)), WORDS = BYTES / 4;
  words<WORDS> raw;
  DEVICE void load(const T* row, int c) {
    raw = load_words<WORDS, (BYTES % 16 == 0 ? 16 : BYTES % 8 == 0 ? 8 : 4), false>(row + c);
  }
  DEVICE void clear() {
    UNROLL for (int i = 0; i < WORDS; i++) raw.w[i] = 0;
  }
  DEVICE vec<float, N> value() const {
    vec<float, N> out;
    UNROLL for (int i = 0; i < WORDS; i++) {
      if constexpr (sizeof(T) == 1) {
        float four[4];
        widen_f8(raw.w[i], four);
        UNROLL for (int e = 0; e < 4; e++) out.set(4 * i + e, four[e]);
      } else if constexpr (same_type<T, f16_t>::value) {
        out.set(2 * i, low_f16(raw.w[i])), out.set(2 * i + 1, high_f16(raw.w[i]));
      } else {
        out.set(2 * i, low_bf16(raw.w[i])), out.set(2 * i + 1, high_bf16(raw.w[i]));
      }
    }
    return out;
  }
};
template <int N> struct packed_chunk<q8_0_t, N, true> {
  words<N / 4> raw;
  u32 step;
  DEVICE void load(const q8_0_t* row, int c) {
    const u8* const block = (const u8*)(row + u32(c) / 32);
    step = load_u16(block), raw = load_words<N / 4, 2, false>(block + 2 + u32(c) % 32);
  }
  DEVICE void clear() {
    step = 0;
    UNROLL for (int i = 0; i < N / 4; i++) raw.w[i] = 0;
  }
  DEVICE vec<float, N> value() const {
    const float d = f16_value(u16(step));
    vec<float, N> out;
    UNROLL for (int i = 0; i < N; i++) out.set(i, fma_f32(byte_value(raw.w[i / 4] ^ 0x80808080u, i % 4), d, -128.f * d));
    return out;
  }
};

template <int N, class T> DEVICE void store_cached(T* row, int c, const vec<float, N>& v) { store<N>(row + c, v); }
template <int N> DEVICE void store_cached(f8_t* row, int c, const vec<float, N>& v) { store_f8<N>(row + c, v); }

/** Stores an element, or a block, and gives what load_cached will give; with no row only that. */
template <int N, class T> DEVICE vec<float, N> keep(T* row, int c, const vec<float, N>& v) {
  static_assert(N == 1, "elements are kept one by one");
  const T kept = T(v[0]);
  if (row) row[c] = kept;
  return splat<1>(float(kept));
}
/** The step is max |v| / 127, rounded to f16; an element the nearest whole number of steps, ties to even. */
template <int N> DEVICE vec<float, N> keep(q8_0_t* row, int c, const vec<float, N>& v) {
  static_assert(N == 32, "a block is kept at once");
  float most = 0.f;
  UNROLL for (int i = 0; i < N; i++) most = max_f32(most, abs_f32(v[i]));
  const u16 step_bits = f16_bits(most / 127.f);
  const float step = f16_value(step_bits), inverse = step > 0.f ? 1.f / step : 0.f;
  u16* const block = row ? (u16*)(row + c / 32) : nullptr;
  if (block) block[0] = step_bits;
  vec<float, N> kept = v;
  UNROLL for (int i = 0; i < N; i += 2) {
    float code[2];
    UNROLL for (int j = 0; j < 2; j++) {
      const float nearest = round_f32(v[i + j] * inverse);
      code[j] = nearest > 127.f ? 127.f : nearest < -127.f ? -127.f : nearest;
      kept.set(i + j, step * code[j]);
    }
    if (block) block[1 + i / 2] = u16((i32(code[0]) & 0xff) | (i32(code[1]) & 0xff) << 8);
  }
  return kept;
}
template <int N> DEVICE void store_cached(q8_0_t* row, int c, const vec<float, N>& v) { keep<N>(row, c, v); }
