// step: every call of a program, in order, in one launch
//   layout    calls: COUNT rows; stages.h is generated: the kernels of the program as functions, and run_stage
//   launch    blocks of BLOCK threads, at most as many as are resident at once; dynamic LDS: the most that a stage wants
//   order     each call's work is dealt to all blocks; they meet behind calls that later ones depend on
//   waiting   while they meet, the row of the next call is fetched, and the first weights that are read after it
//   errors    a meeting that is not complete after `patience` looks ends the launch with *stuck = 1 + the call
//   limits    any grid ≥ 1, any WAVE, any BLOCK that the stages take
#include "prelude/atomic.h"
#include "prelude/stage.h"
#include "step/stages.h"

constexpr int ROW_WORDS = sizeof(stage_call) / 4;

/** Copies a row of the table into LDS; seen after the next block_sync. */
DEVICE void fetch_call(stage_call& to, const stage_call* from) {
  for (int i = thread_id(); i < ROW_WORDS; i += BLOCK) ((u32*)&to)[i] = ((const u32*)from)[i];
}

KERNEL void step(const stage_call* calls, i32 count, u32* meeting, u32* stuck, i32 patience) {
  LDS(stage_call, rows, 2);
  fetch_call(rows[0], calls);
  block_sync();
  KEEP_LOOP for (int i = 0; i < count; i++) {
    const stage_call& call = rows[i % 2];
    run_stage(wave_uniform(call.stage), {call.args});
    if (i + 1 < count) fetch_call(rows[(i + 1) % 2], calls + i + 1);
    if (wave_uniform(call.meets)) {
      const u32 ticket = grid_arrive(meeting);
      if (const u32 ahead = wave_uniform(call.ahead)) run_ahead(ahead - 1, {call.ahead_args});
      if (!grid_wait(meeting, ticket, u32(patience))) {
        if (thread_id() == 0) *stuck = u32(i + 1);
        return;
      }
    } else {
      block_sync();
    }
  }
}
