// embed: y[t,d] = table[ids[t], d]
//   layout    y: y_t[T, D] row-major; ids: i32[T]; table: V rows of weight_t
//   launch    grid = T, block = BLOCK; one block per token
//   aliasing  none
//   numerics  quantised rows decode as their format says; one rounding to y's type
//   limits    an id that is no row of the table gives zeros; D a whole number of the format's blocks; any WAVE, any BLOCK
#include "embed/row.h"

KERNEL void embed(y_t* y, const i32* ids, const u8* table, i32 T) {
  for (int t = block_id(); t < T; t += grid_size()) embed_tile(t, y, ids, table);
}
