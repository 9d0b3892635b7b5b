// row.h: the row of an embedding table that a token asks for.
#pragma once
#ifndef P_ROWS
#define P_ROWS 32000  // V, rows of the table
#endif
#ifndef P_HIDDEN
#define P_HIDDEN 4096  // D, elements of a row
#endif
#ifndef P_ALIGN
#define P_ALIGN 8  // a power of two that divides P_HIDDEN
#endif
#ifndef P_Y
#define P_Y f32_t  // element type: f32_t, f16_t or bf16_t
#endif
#include "prelude/block.h"
#include "weight.h"

typedef P_Y y_t;
constexpr int ROWS = P_ROWS, HIDDEN = P_HIDDEN, CHUNK = min_int(VEC, P_ALIGN);
static_assert(HIDDEN % CHUNK == 0, "P_ALIGN must divide P_HIDDEN");

/** y[t,:] = table[ids[t],:] by one block; zeros where there is no such row, −2^31 among others. */
DEVICE void embed_tile(int t, y_t* y, const i32* ids, const u8* table) {
  const int id = ids[t];
  if (u32(id) >= u32(ROWS)) {
    for (int d = thread_id() * CHUNK; d < HIDDEN; d += BLOCK * CHUNK) store<CHUNK>(y + size_t(t) * HIDDEN + d, splat<CHUNK>(0.f));
    return;
  }
  const u8* const row = table + size_t(id) * weight_t::row_bytes(HIDDEN);
  for (int d = thread_id() * CHUNK; d < HIDDEN; d += BLOCK * CHUNK)
    store<CHUNK>(y + size_t(t) * HIDDEN + d, weight_t::template load<CHUNK>(row, d));
}
