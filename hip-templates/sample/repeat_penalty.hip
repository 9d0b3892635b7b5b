// repeat_penalty: y = logits, but for tokens among the last LOOK_BACK of the request: divided by penalty[r] where
// positive, else multiplied
//   layout    y: y_t[R, V], logits: x_t[R, V] row-major; history: i32[P, 1, PAGE, 1] token ids by position; positions: i32[R];
//             page_table: i32[R, M]; penalty: f32[R]
//   launch    grid = R · ⌈V / TILE⌉, block = BLOCK; one block per TILE columns of a request
//   aliasing  none
//   numerics  one rounding to y's type; a token that occurs twice is changed once
//   limits    any sizes; a token outside V is passed over; any WAVE, any BLOCK
#ifndef P_COLUMNS
#define P_COLUMNS 32000  // V
#endif
#ifndef P_LOOK_BACK
#define P_LOOK_BACK 64  // tokens looked back, that at the last position included
#endif
#ifndef P_PAGE
#define P_PAGE 16  // positions of a page
#endif
#ifndef P_X
#define P_X f32_t  // element types: f32_t, f16_t or bf16_t
#endif
#ifndef P_Y
#define P_Y f32_t
#endif
#ifndef P_TILE
#define P_TILE 8192  // columns of a block
#endif
#ifndef P_ALIGN
#define P_ALIGN 8  // a power of two that divides P_COLUMNS; on the host any
#endif
#include "prelude/block.h"

typedef P_X x_t;
typedef P_Y y_t;
constexpr int COLUMNS = P_COLUMNS, LOOK_BACK = P_LOOK_BACK, PAGE = P_PAGE, TILE = P_TILE, CHUNK = min_int(VEC, P_ALIGN);
constexpr int TILES = ceil_div(COLUMNS, TILE);

DEVICE void repeat_penalty_tile(int tile, y_t* y, const x_t* logits, const i32* history, const i32* positions,
                                const i32* page_table, const float* penalty, int M) {
  const int r = tile / TILES, from = tile % TILES * TILE, end = min_int(from + TILE, COLUMNS);
  const x_t* const row = logits + size_t(r) * COLUMNS;
  y_t* const out = y + size_t(r) * COLUMNS;
  for (int i = from + thread_id() * CHUNK; i < end; i += BLOCK * CHUNK)
    store_tail<CHUNK>(out + i, load_tail<CHUNK>(row + i, end - i), end - i);
  block_sync();  // the copy is done before tokens are changed
  const int last = positions[r];
  const i32* const pages = page_table + size_t(r) * M;
  for (int p = max_int(0, last - LOOK_BACK + 1) + thread_id(); p <= last; p += BLOCK) {
    const int page = pages[p / PAGE];
    if (page < 0) continue;
    const int token = history[size_t(page) * PAGE + p % PAGE];
    if (token < from || token >= end) continue;
    const float logit = float(row[token]);
    out[token] = y_t(logit > 0.f ? logit / penalty[r] : logit * penalty[r]);
  }
}

KERNEL void repeat_penalty(y_t* y, const x_t* logits, const i32* history, const i32* positions, const i32* page_table,
                    const float* penalty, i32 R, i32 M) {
  for (int tile = block_id(); tile < R * TILES; tile += grid_size())
    repeat_penalty_tile(tile, y, logits, history, positions, page_table, penalty, M);
}
