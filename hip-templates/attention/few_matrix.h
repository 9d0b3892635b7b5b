// few_matrix.h: flash decoding with online softmax on matrix instructions of 16 × 8 × 16, for caches of f16 or bf16. A wave
// takes TILE positions at a time; keys and values are loaded from memory straight into the instructions' fragments. With
// P_AHEAD the loop is software pipelined: the next tile is prefetched while this one is multiplied.
//   scores    S[TILE, 8] = K · Qᵀ: lane 4g + p has, of rows g and g + 8, 8 neighbours of each 32 channels; which channels are multiplied
//             in one instruction does not matter as long as K and Q agree
//   results   O[C, 8] = Vᵀ · Pᵀ: the lane has 8 neighbouring channels of positions 2p, 2p + 1, 2p + 8, 2p + 9; halves of two
//             positions' words make its pairs; Pᵀ is S transposed
//   columns   COLUMNS heads, times the terms that a query and a weight are split into: 2 of f16, or 3 of bf16. What does not
//             fit into 8 columns takes further instructions into the same sums
#pragma once
#ifndef P_AHEAD
#define P_AHEAD 1  // 1: prefetch the next keys and values (software pipelining), which takes more registers
#endif
#include "prelude/mma-sync.h"

static_assert(WAVE == 32 && C % 8 == 0 && HEADS <= 8, "lanes form 8 groups of 4");
static_assert(sizeof(kv_t) == 2, "instructions take 16 bits");
constexpr int TILE = 16;
static_assert(LEAST_SPLIT % TILE == 0, "splits begin with a tile");
constexpr int COLUMNS = power_from(HEADS), TERMS_AT_ONCE = 8 / COLUMNS, SETS = ceil_div(TERMS, TERMS_AT_ONCE);
constexpr int KEY_STEPS = ceil_div(C, 32), VALUE_PARTS = ceil_div(C, 64);
constexpr bool AHEAD_OF_USE = P_AHEAD != 0;
/** Does a tile lie in one page? Then its rows follow each other. */
constexpr bool TILES_IN_PAGES = PAGE % TILE == 0;

/** A query as terms: an exact multiple of a power of two, its unit, that lets f16 hold any of them. */
template <class T, int N, class F> DEVICE void put_terms_of(float* lds, int row, const float (&v)[N], F index) {
  float largest = 0.f;
  UNROLL for (int n = 0; n < N; n++) largest = max_f32(largest, index(n) < C ? abs_f32(v[n]) : 0.f);
  u32 exponent = 127;
  if constexpr (same_type<T, f16_t>::value) {
    exponent = 267 - (bit_cast<u32>(wave_reduce(largest, Max{})) >> 23);  // the largest lies in 2^13 … 2^14
    exponent = exponent > 253 ? 253 : exponent;
  }
  const float to_unit = bit_cast<float>(exponent << 23);
  if (lane_id() == 0) lds[LDS_UNIT + row] = bit_cast<float>((254 - exponent) << 23);
  T* const terms = (T*)(lds + LDS_TERMS) + row * TERM_PITCH;
  UNROLL for (int n = 0; n < N; n++) {
    float rest = v[n] * to_unit;
    if (index(n) >= C) continue;
    UNROLL for (int t = 0; t < TERMS; t++) {
      const T term(rest);
      terms[t * BLOCK_HEADS * TERM_PITCH + index(n)] = term;
      rest -= float(term);
    }
  }
}

struct stream {
  const kv_t *k_cache, *v_cache;
  const i32* pages;
  int kv, from, to, tile;  // positions; the first position of the wave's tile
  int page;                // of the tile that is prefetched next
  words<4> k[2][KEY_STEPS], v[4][VALUE_PARTS];
  float maximum[2], sum[2];  // of columns 2p and 2p + 1
  float out[VALUE_PARTS * 4][4];

  DEVICE static int group() { return lane_id() / 4; }
  DEVICE static int place() { return lane_id() % 4; }
  /** Without a window the first position is that of a tile. */
  DEVICE bool has(int l) const { return (WINDOW == 0 || l >= from) && l < to; }
  /** Position of the wave's rows of values. */
  DEVICE static int value_row(int i) { return place() * 2 + i % 2 + i / 2 * 8; }

  DEVICE void find_page(int first) { page = page_of(pages, min_int(first, to - 1)); }
  DEVICE size_t row_at(int first, int row) const {
    if constexpr (TILES_IN_PAGES) return cache_row(page, kv, first) + size_t(row) * C;
    const int l = max_int(from, min_int(first + row, to - 1));
    return cache_row(page_of(pages, l), kv, l);
  }
  DEVICE void prefetch_keys(int first) {
    UNROLL for (int r = 0; r < 2; r++) {
      const kv_t* const row = k_cache + row_at(first, group() + r * 8);
      UNROLL for (int s = 0; s < KEY_STEPS; s++) {
        const int c = s * 32 + place() * 8;
        if (C % 32 == 0 || c < C) k[r][s] = load_words_streaming(row + c);
        else k[r][s] = {};
      }
    }
  }
  /** Part s of the tile's values. */
  DEVICE void prefetch_values(int first, int s) {
    const int c = s * 64 + group() * 8;
    UNROLL for (int i = 0; i < 4; i++) {
      const int l = first + value_row(i);
      if (has(l) && (C % 64 == 0 || c < C))
        v[i][s] = load_words_streaming(v_cache + row_at(first, value_row(i)) + c);
      else
        v[i][s] = {};  // not inf · 0
    }
  }
  DEVICE void prefetch_values(int first) {
    UNROLL for (int s = 0; s < VALUE_PARTS; s++) prefetch_values(first, s);
  }

  DEVICE void find(const attention_call& call, const attention_place& at, int first, int end) {
    k_cache = call.k_cache, v_cache = call.v_cache, pages = pages_of(call, at);
    kv = at.kv, from = first, to = end;
    tile = first / TILE * TILE + share_id() * TILE;
    if (tile < to) find_page(tile);
  }
  DEVICE void ask() {
    if (!AHEAD_OF_USE || tile >= to) {
      UNROLL for (int r = 0; r < 2; r++) unset(k[r]);
      UNROLL for (int i = 0; i < 4; i++) unset(v[i]);
      return;
    }
    prefetch_keys(tile), prefetch_values(tile);
    find_page(tile + SHARES * TILE);
  }

  template <int N, class F> DEVICE static void put_terms(float* lds, int row, const float (&v)[N], F index) {
    put_terms_of<kv_t>(lds, row, v, index);
  }
  /** Heads of this lane's columns are these, from the wave's first; where the wave has fewer, the last. */
  DEVICE static int head_of(int b) { return min_int((place() * 2 + b) % COLUMNS, HEADS - 1); }
  DEVICE void begin(float*) {
    UNROLL for (int b = 0; b < 2; b++) maximum[b] = -INF, sum[b] = 0.f;
    UNROLL for (int t = 0; t < VALUE_PARTS * 4; t++)
      UNROLL for (int e = 0; e < 4; e++) out[t][e] = 0.f;
  }

  /** 8 channels of the queries' column `group`, of a set of columns. */
  DEVICE static words<4> query(const float* lds, int lane, int set, int step) {
    const int column = lane / 4, c = step * 32 + lane % 4 * 8;
    const int term = set * TERMS_AT_ONCE + column / COLUMNS, head = column % COLUMNS;
    if (term >= TERMS || head >= HEADS || c >= C) return {};
    const kv_t* const terms = (const kv_t*)(lds + LDS_TERMS);
    return load_words<4, 16, false>(terms + (term * BLOCK_HEADS + wave_row() + head) * TERM_PITCH + c);
  }
  /** Adds the columns up that are terms of one head. */
  DEVICE static void add_terms(float& low, float& high) {
    if constexpr (COLUMNS == 1) low += high, high = low;
    UNROLL for (int mask = max_int(1, COLUMNS / 2); mask < 4; mask *= 2)
      low += wave_shfl_xor(low, mask), high += wave_shfl_xor(high, mask);
  }
  /** The term of v that a lane's column is in a set. */
  DEVICE static kv_t term_of(float v, int set, int b) {
    const int which = set * TERMS_AT_ONCE + (place() * 2 + b) / COLUMNS;
    kv_t term(v);
    UNROLL for (int t = 1; t < TERMS; t++) {
      v -= float(kv_t(v));
      if (which == t) term = kv_t(v);
    }
    if (which >= TERMS) term = kv_t(0.f);
    return term;
  }

  DEVICE void attend(float* lds) {
    KEEP_LOOP for (; tile < to; tile += SHARES * TILE) {
      if (!AHEAD_OF_USE) prefetch_keys(tile);
      const int lane = AHEAD_OF_USE ? lane_id() : rematerialize(lane_id());  // few registers: queries are read anew
      float scores[2][4];
      UNROLL for (int e = 0; e < 4; e++) scores[0][e] = 0.f, scores[1][e] = 0.f;
      UNROLL for (int s = 0; s < KEY_STEPS; s++) {
        UNROLL for (int set = 0; set < SETS; set++) {
          const words<4> q = query(lds, lane, set, s);
          UNROLL for (int half = 0; half < 4; half += 2) {
            const u32 rows[4] = {k[0][s].w[half], k[1][s].w[half], k[0][s].w[half + 1], k[1][s].w[half + 1]};
            const u32 columns[2] = {q.w[half], q.w[half + 1]};
            mma_16x8x16(scores[half / 2], rows, columns, kv_t());
          }
        }
      }
      const int next = tile + SHARES * TILE;
      if (!AHEAD_OF_USE) prefetch_values(tile, 0);
      else if (next < to) prefetch_keys(next);

      float weights[2][2];  // of position g + 8r and column 2p + b
      UNROLL for (int r = 0; r < 2; r++) {
        const int l = tile + group() + r * 8;
        float pair[2];
        UNROLL for (int b = 0; b < 2; b++) pair[b] = scores[0][r * 2 + b] + scores[1][r * 2 + b];
        add_terms(pair[0], pair[1]);
        UNROLL for (int b = 0; b < 2; b++) weights[r][b] = has(l) ? pair[b] * lds[LDS_UNIT + wave_row() + head_of(b)] : -INF;
      }
      float now[2];
      UNROLL for (int b = 0; b < 2; b++) {
        now[b] = max_f32(weights[0][b], weights[1][b]);
        UNROLL for (int mask = 4; mask < 32; mask *= 2) now[b] = max_f32(now[b], wave_shfl_xor(now[b], mask));
        now[b] = max_f32(maximum[b], now[b]);
      }
      if (wave_ballot(now[0] != maximum[0] || now[1] != maximum[1])) {
        UNROLL for (int b = 0; b < 2; b++) {
          const float factor = fast_exp(maximum[b] - origin_of(now[b]));
          maximum[b] = now[b], sum[b] *= factor;
          UNROLL for (int t = 0; t < VALUE_PARTS * 4; t++) out[t][b] *= factor, out[t][b + 2] *= factor;
        }
      }
      UNROLL for (int b = 0; b < 2; b++) {
        UNROLL for (int r = 0; r < 2; r++) weights[r][b] = fast_exp(weights[r][b] - origin_of(maximum[b]));
        sum[b] += weights[0][b] + weights[1][b];
      }
      u32 columns[SETS][2];
      UNROLL for (int set = 0; set < SETS; set++)
        UNROLL for (int r = 0; r < 2; r++) {
          const kv_t low = term_of(weights[r][0], set, 0), high = term_of(weights[r][1], set, 1);
          columns[set][r] = transpose_8x8(low.bits | u32(high.bits) << 16);
        }
      UNROLL for (int s = 0; s < VALUE_PARTS; s++) {
        UNROLL for (int w = 0; w < 4; w++) {
          const u32 a0 = v[0][s].w[w], a1 = v[1][s].w[w], b0 = v[2][s].w[w], b1 = v[3][s].w[w];
          const u32 rows[4] = {low_halves(a0, a1), high_halves(a0, a1), low_halves(b0, b1), high_halves(b0, b1)};
          UNROLL for (int set = 0; set < SETS; set++) mma_16x8x16(out[s * 4 + w], rows, columns[set], kv_t());
        }
        if (!AHEAD_OF_USE && s + 1 < VALUE_PARTS) prefetch_values(tile, s + 1);
      }
      if (next < to) {
        if (AHEAD_OF_USE) prefetch_values(next);
        find_page(AHEAD_OF_USE ? next + SHARES * TILE : next);
      }
    }
  }

  /** Adds up over the lanes that have terms of the same heads: each keeps a part of its tiles of results, the first of `out`. */
  template <int HAVE, int MASK> DEVICE void share_tiles(int& first) {
    if constexpr (MASK < 4) {
      const bool upper = (place() & MASK) != 0;
      UNROLL for (int t = 0; t < HAVE / 2; t++)
        UNROLL for (int e = 0; e < 4; e++) {
          const float low = out[t][e], high = out[t + HAVE / 2][e];  // read first, as in reduce_rows
          out[t][e] = (upper ? high : low) + wave_shfl_xor(upper ? low : high, MASK);
        }
      first += upper ? HAVE / 2 : 0;
      share_tiles<HAVE / 2, 2 * MASK>(first);
    }
  }
  static constexpr int FIRST_MASK = max_int(1, COLUMNS / 2);
  static constexpr int TILES_KEPT = COLUMNS == 8 ? VALUE_PARTS * 4 : VALUE_PARTS * FIRST_MASK;

  /** Adds up what the lanes have of each head. */
  DEVICE void join() {
    if constexpr (COLUMNS == 1) {
      UNROLL for (int t = 0; t < VALUE_PARTS * 4; t++)
        UNROLL for (int e = 0; e < 4; e += 2) out[t][e] += out[t][e + 1], out[t][e + 1] = 0.f;
    }
    tile = 0;  // from here on the first of the tiles that this lane keeps
    share_tiles<VALUE_PARTS * 4, FIRST_MASK>(tile);
    UNROLL for (int b = 0; b < 2; b++)
      UNROLL for (int mask = 4; mask < 32; mask *= 2) sum[b] += wave_shfl_xor(sum[b], mask);
  }

  /** Puts the wave's heads into a slot of LDS, or adds them to what is there. */
  DEVICE void put(float* lds, int slot, bool add) {
    UNROLL for (int b = 0; b < (COLUMNS == 1 ? 1 : 2); b++) {
      const int row = wave_row() + head_of(b);
      const joint j = join_slot(lds, slot, row, maximum[b], sum[b], add);
      if ((place() * 2 + b) % COLUMNS >= HEADS) continue;
      float* const to = out_of(lds, slot, row);
      constexpr int AT_ONCE = TILES_KEPT % 4 == 0 ? 4 : TILES_KEPT % 2 == 0 ? 2 : 1;  // tiles whose channels follow each other
      UNROLL for (int t = 0; t < TILES_KEPT; t += AT_ONCE) {
        const int c = (tile + t) / 4 * 64 + group() * 8 + (tile + t) % 4 * 2;
        if (C % 64 != 0 && c >= C) continue;
        vec<float, 2 * AT_ONCE> some = splat<2 * AT_ONCE>(0.f);
        UNROLL for (int i = 0; i < AT_ONCE; i++) some.set(2 * i, out[t + i][b]), some.set(2 * i + 1, out[t + i][b + 2]);
        store<2 * AT_ONCE>(to + c, add ? fma(load<2 * AT_ONCE>(to + c), j.before, some * j.now) : some);
      }
      if (group() == 0 && place() * 2 + b < COLUMNS) maximum_of(lds, slot, row) = j.maximum, sum_of(lds, slot, row) = j.sum;
    }
  }
};
