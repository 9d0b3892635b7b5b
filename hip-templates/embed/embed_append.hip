// embed_append: y[t,d] = table[ids[t], d]; history[page_table[seq[t], positions[t] / PAGE], positions[t] mod PAGE] = ids[t]
//   layout    y: y_t[T, D] row-major; ids, positions, seq: i32[T]; table: V rows of weight_t; history: i32[P, 1, PAGE, 1];
//             page_table: i32[R, M]
//   launch    grid = T, block = BLOCK; one block per token
//   aliasing  none; no two tokens have one request and position
//   numerics  as embed
//   limits    as embed; a token without a page (seq, position or page negative) is not appended
#include "cache/pages.h"
#include "embed/row.h"

DEVICE void append_id(int t, i32* history, const i32* ids, const i32* positions, const i32* seq, const i32* page_table, int M) {
  const int position = positions[t], request = seq[t];
  if (request < 0 || position < 0) return;
  const int page = page_of(page_table + size_t(request) * M, position);
  if (page >= 0) history[cache_row(page, 0, position)] = ids[t];
}

KERNEL void embed_append(y_t* y, i32* history, const i32* ids, const u8* table, const i32* positions, const i32* seq,
                         const i32* page_table, i32 T, i32 M) {
  await_earlier_launches();
  for (int t = block_id(); t < T; t += grid_size()) {
    if (thread_id() == 0) append_id(t, history, ids, positions, seq, page_table, M);
    embed_tile(t, y, ids, table);
  }
}
