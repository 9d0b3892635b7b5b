// fixed_x.h: x in fixed point, for products with the codes of quantised weights by integer dot products (prelude/dot.h).
// SPAN neighbours share a step; each of them is a whole number of steps, DIGITS signed bytes long: x = step · (a digit + 256 ·
// (the next + 256 · …)). A block makes them together, once for all its rows, and each lane then holds those of its units.
//   in LDS    of a token: DIGITS planes, the lowest first, of CHUNKS rows of 16 bytes for each unit, so that lanes which read
//             theirs side by side use all banks; then K / SPAN steps; tokens are 16-byte aligned
//   numerics  an x is off by half a step at most: the largest |x| of its span · 2^-23 with three digits, about what an f32 next
//             to it is off by, 2^-16 with two. Sums of products are exact until they are scaled. NaN and infinity make sums
//             of their span NaN
#pragma once
#ifndef P_DIGITS
#define P_DIGITS 3  // signed bytes of an element of x: 2 or 3
#endif
#include "matmul/lane_unit.h"
#include "matmul/share.h"
#include "prelude/dot.h"

constexpr int DIGITS = P_DIGITS;
static_assert(DIGITS == 2 || DIGITS == 3, "more digits than an f32 has, or fewer than a result needs");
/** Sums of products come in so many parts: of all digits but the lowest of three, and of that. */
constexpr int DOTS = DIGITS - 1;

/** Of formats whose elements are their own values there is nothing to be made. */
template <class Unit, bool CODES = (Unit::GROUPS > 0)> struct fixed_x {
  static constexpr int TOKEN_BYTES = 0;
};

template <class Unit> struct fixed_x<Unit, true> {
  static constexpr int SPAN = Unit::SPAN, EACH = 8, LANES = SPAN / EACH;  // elements of a thread, threads of a span
  static constexpr int CHUNKS = Unit::ELEMS / 16;                         // of 16 elements
  static constexpr int ROW = (K / Unit::ELEMS + (CHUNKS > 1 ? 1 : 0)) * 16;  // one more unit: the next row begins in other banks
  static constexpr int PLANE = CHUNKS * ROW, STEPS = DIGITS * PLANE;       // bytes
  static constexpr int TOKEN_BYTES = ceil_div(STEPS + 4 * (K / SPAN), 16) * 16;
  static constexpr int MAKERS = K / EACH, ROUNDS = ceil_div(MAKERS, BLOCK);
  /** Steps of the largest |x| of a span: its top digit is 63 or 127 at most. More could not be rounded by an addition. */
  static constexpr float LARGEST = DIGITS == 3 ? 63.f * 65536.f : 127.f * 256.f;

  /** Where the digits of piece p of a unit are in a plane. */
  static DEVICE int place(int unit, int p) { return p / 2 * ROW + unit * 16 + p % 2 * 8; }

  /** Digits and step of EACH neighbours v, from element k; every lane of the wave takes part. */
  static DEVICE void put(u8* token, int k, const vec<float, EACH>& v, bool inside) {
    u32 most = 0;  // bits of |v| are in the order of |v|, and NaN comes last
    UNROLL for (int i = 0; i < EACH; i++) most = max_int(most, bit_cast<u32>(v[i]) & 0x7fffffffu);
    const float largest = bit_cast<float>(group_reduce<LANES>(most, Max{}));
    const float steps = largest > 1e-30f ? LARGEST / largest : 0.f;
    u32 fixed[EACH];
    UNROLL for (int i = 0; i < EACH; i++) fixed[i] = bit_cast<u32>(fma_f32(v[i], steps, ROUNDER)) - bit_cast<u32>(ROUNDER);
    if (!inside) return;
    u8* const to = token + place(Unit::unit_of(k), Unit::piece_of(k));
    UNROLL for (int d = 0; d < DIGITS; d++) {
      const u32 carry = d == 0 ? 0 : d == 1 ? 0x80 : 0x8080;  // digits below are negative where their top bit is set
      UNROLL for (int i = 0; i < EACH; i += 4) {
        *(u32*)(to + d * PLANE + i) =
            pack_bytes(fixed[i] + carry, fixed[i + 1] + carry, fixed[i + 2] + carry, fixed[i + 3] + carry, d);
      }
    }
    if (k % SPAN == 0) *(float*)(token + STEPS + k / SPAN * 4) = largest * (1.f / LARGEST);
  }

  /** Makes those of a row of x, times the norm's weights, by the whole block; gives this thread's sum of squares of x. */
  static DEVICE float make(u8* token, const x_t* row, const norm_t* norm) {
    constexpr int AT_ONCE = min_int(ROUNDS, 4);  // loads that do not wait for each other
    float squares = 0.f;
    KEEP_LOOP for (int from = 0; from < ROUNDS; from += AT_ONCE) {
      vec<float, EACH> v[AT_ONCE], factor[NORMED ? AT_ONCE : 1];
      if constexpr (NORMED) {
        UNROLL for (int i = 0; i < AT_ONCE; i++) factor[i] = load<EACH>(norm + own(from + i));
      }
      await_earlier_launches();  // they made x, but not the norm's weights
      UNROLL for (int i = 0; i < AT_ONCE; i++) v[i] = load<EACH>(row + own(from + i));
      UNROLL for (int i = 0; i < AT_ONCE; i++) {
        const int k = ((from + i) * BLOCK + thread_id()) * EACH;
        if constexpr (NORMED) {
          if (k < K) squares += hsum(v[i] * v[i]);
          v[i] *= factor[i];
        }
        put(token, k, v[i], k < K);
      }
    }
    return squares;
  }
  /** the element from which a thread reads in a round: where it has none, the last ones */
  static DEVICE int own(int round) { return min_int(round * BLOCK + thread_id(), MAKERS - 1) * EACH; }

  // ---- what a lane holds of a unit
  static constexpr int WORDS = Unit::ELEMS / 4, OF_GROUP = WORDS / Unit::GROUPS;
  u32 digits[DIGITS][WORDS];
  i32 start[Unit::GROUPS][DOTS];  // OFFSET · Σ x
  float sums[Unit::GROUPS];       // Σ x, in steps
  float step;

  DEVICE void load_unit(const u8* token, int unit, bool inside) {
    UNROLL for (int d = 0; d < DIGITS; d++) {
      UNROLL for (int c = 0; c < CHUNKS; c++) {
        const words<4> w = load_words<4, 16, false>(token + d * PLANE + place(unit, 2 * c));
        UNROLL for (int i = 0; i < 4; i++) digits[d][c * 4 + i] = inside ? w.w[i] : 0;
      }
    }
    step = *(const float*)(token + STEPS + Unit::first(unit, 0) / SPAN * 4);
    const i32 none[DOTS] = {};
    UNROLL for (int g = 0; g < Unit::GROUPS; g++) {
      words<OF_GROUP> ones;
      UNROLL for (int i = 0; i < OF_GROUP; i++) ones.w[i] = 0x01010101u;
      i32 sum[DOTS];
      dot(sum, ones, g, none);
      UNROLL for (int i = 0; i < DOTS; i++) start[g][i] = Unit::OFFSET * sum[i];
      sums[g] = steps_of(sum);
    }
  }

  /** out = from + Σ code · x over group g, a sum of each part. */
  DEVICE void dot(i32 (&out)[DOTS], const words<OF_GROUP>& codes, int g, const i32 (&from)[DOTS]) const {
    i32 each[DIGITS];
    UNROLL for (int d = 0; d < DIGITS; d++) {
      each[d] = d == DIGITS - 1 ? 0 : from[DIGITS == 3 ? 1 - d : 0];
      UNROLL for (int i = 0; i < OF_GROUP; i++)
        each[d] = dot4_i8(i32(codes.w[i]), i32(digits[d][g * OF_GROUP + i]), each[d]);
    }
    out[0] = each[DIGITS - 1] * 256 + each[DIGITS - 2];
    if constexpr (DIGITS == 3) out[1] = each[0];
  }
};

/** sums[t] += a unit of w times the same unit of x, for COUNT tokens. */
template <class Unit, int COUNT>
DEVICE void multiply(float* sums, const words<Unit::WORDS>& raw, int unit, const fixed_x<Unit> (&x)[COUNT]) {
  i32 dots[COUNT][Unit::GROUPS][DOTS];
  UNROLL for (int g = 0; g < Unit::GROUPS; g++) {
    words<fixed_x<Unit>::OF_GROUP> codes;
    UNROLL for (int i = 0; i < fixed_x<Unit>::OF_GROUP; i += 2)
      put(codes, i, Unit::codes(raw, unit, (g * fixed_x<Unit>::OF_GROUP + i) / 2));
    UNROLL for (int t = 0; t < COUNT; t++) x[t].dot(dots[t][g], codes, g, x[t].start[g]);
  }
  UNROLL for (int t = 0; t < COUNT; t++)
    sums[t] = fma_f32(x[t].step, Unit::total(raw, unit, dots[t], x[t].sums), sums[t]);
}
