// qk_matmul: s[t,h,l] = Σ_c q[t,h,c] · k[seq[t], l, h / GROUP, c]
//   layout    s: f32[T, H, L], q: q_t[T, H, C], k: k_t[R, L, H / GROUP, C], all row-major; seq: i32[T]
//   launch    grid = T · H · ⌈L / TILE⌉, block = BLOCK; one block per TILE positions of a head
//   aliasing  none
//   numerics  f32 throughout
//   limits    any C; any WAVE, any BLOCK
#ifndef P_HEADS
#define P_HEADS 8  // H, heads of q
#endif
#ifndef P_GROUP
#define P_GROUP 1  // consecutive heads of q that share a head of k
#endif
#ifndef P_Q
#define P_Q f32_t  // element types: f32_t, f16_t or bf16_t
#endif
#ifndef P_K
#define P_K f32_t
#endif
#ifndef P_TILE
#define P_TILE 64  // positions of a block
#endif
#include "attention/rows.h"

typedef P_Q q_t;
typedef P_K k_t;
constexpr int HEADS = P_HEADS, GROUP = P_GROUP, TILE = P_TILE;

DEVICE void qk_matmul_tile(int tile, float* y, const q_t* q, const k_t* k, const i32* seq, int L) {
  const int parts = ceil_div(L, TILE), row = tile / parts, first = tile % parts * TILE, end = min_int(first + TILE, L);
  const int t = row / HEADS, h = row % HEADS;
  const row_part query = load_row(q + size_t(row) * C);
  for (int base = first; base < end; base += SLOTS) {  // as often for every thread: all lanes take part in dot
    const int l = base + row_slot();
    const size_t key = (size_t(seq[t]) * L + min_int(l, end - 1)) * (HEADS / GROUP) + h / GROUP;
    const float value = dot(query, load_row(k + key * C));
    if (row_lane() == 0 && l < end) y[size_t(row) * L + l] = value;
  }
}

KERNEL void qk_matmul(float* y, const q_t* q, const k_t* k, const i32* seq, i32 T, i32 L) {
  const int tiles = T * HEADS * ceil_div(L, TILE);
  for (int tile = block_id(); tile < tiles; tile += grid_size()) qk_matmul_tile(tile, y, q, k, seq, L);
}
