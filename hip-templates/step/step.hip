// step: every call of a program, in order, in one launch
//   layout    calls: COUNT rows; stages.h is generated: the kernels of the program as functions, and run_stage
//   launch    blocks of BLOCK threads, at most as many as are resident at once; dynamic LDS: the most that a stage wants
//   order     each call's work is dealt to all blocks; a grid barrier follows the calls that later ones depend on
//   waiting   at the barrier the row of the next call is fetched and the first weights that are read after it are prefetched
//   errors    a barrier that is not complete after `max_spins` polls ends the launch with *stuck = 1 + the call
//   trace     with P_TRACE: trace[call, block, 0 … 2] = the device's clock as the block begins a call, is done with it, and
//             has left the barrier
//   limits    any grid ≥ 1, any WAVE, any BLOCK that the stages take
#ifndef P_TRACE
#define P_TRACE 0
#endif
#include "prelude/atomic.h"
#include "prelude/stage.h"
#include "step/stages.h"

constexpr int ROW_WORDS = sizeof(stage_call) / 4;

/** Copies a row of the table into LDS; seen after the next block_sync. */
DEVICE void fetch_call(stage_call& to, const stage_call* from) {
  for (int i = thread_id(); i < ROW_WORDS; i += BLOCK) ((u32*)&to)[i] = ((const u32*)from)[i];
}

/** Records when this block was where. */
DEVICE void record_time([[maybe_unused]] u64* trace, [[maybe_unused]] int call, [[maybe_unused]] int event) {
#if P_TRACE
  if (thread_id() == 0) trace[(size_t(call) * grid_size() + block_id()) * 3 + event] = device_clock();
#endif
}

KERNEL void step(const stage_call* calls, i32 count, u32* barrier, u32* stuck, i32 max_spins, u64* trace) {
  LDS(stage_call, rows, 2);
  LDS(grid_ticket, ticket, 1);  // of thread 0: in registers it would be kept by all, through all stages
  if (thread_id() == 0) ticket[0] = {0, 0};
  fetch_call(rows[0], calls);
  block_sync();
  KEEP_LOOP for (int i = 0; i < count; i++) {
    const stage_call& call = rows[i % 2];
    record_time(trace, i, 0);
    run_stage(wave_uniform(call.stage), {call.args});
    if (i + 1 < count) fetch_call(rows[(i + 1) % 2], calls + i + 1);
    if (wave_uniform(call.barrier_after)) {
      grid_arrive(barrier, ticket[0]);
      record_time(trace, i, 1);
      if (const u32 prefetch = wave_uniform(call.prefetch)) prefetch_stage(prefetch - 1, {call.prefetch_args});
      if (!grid_wait(barrier, ticket[0], u32(max_spins))) {
        if (thread_id() == 0) *stuck = u32(i + 1);
        return;
      }
    } else {
      block_sync();
      record_time(trace, i, 1);
    }
    record_time(trace, i, 2);
  }
}
