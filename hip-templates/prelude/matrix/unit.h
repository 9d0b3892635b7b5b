// unit.h: one fragment primitive over all matrix units. matrix_unit<E> multiplies 16-bit elements E (f16_t or bf16_t) with
// f32 sums, by the instruction that P_MATRIX_UNIT names, one wave at a time:
//
//   c[r, t] += Σ_k w[r, k] · x[t, k]     r < ROWS rows of w, t < COLUMNS tokens, k < STEP
//
// Rows of w lie on M and tokens on N, everywhere: what a lane gets of c is RUNS runs of RUN rows that follow each other, all of
// one token, so that it stores RUN neighbours of y at once, and a dequantised weight may go into w_fragment from registers.
//
//   w_fragment, x_fragment         a lane's operands of a step
//   row_of(i), token_of(i)         the rows of w and of x that this lane loads, i < W_LOADS, X_LOADS …
//   chunk()                        … from element 8 · (chunk() + c) of the step on, c < CHUNKS: 16 bytes each
//   w.set(i, c, words), x.set(…)   puts such 16 bytes into the fragment
//   multiply(c, w, x)              the instructions of a step; c is a lane's float[RUNS · RUN · 1]
//   over_rows(v, Op{})             v over the lanes that hold sums of the same tokens, to all of them
//   first_row(n), token(n)         where run n of c stands: rows first_row(n) … + RUN - 1 of token token(n)
//
// The order of k within a step is free as long as w and x agree (only the order of the sum follows from it): every lane
// therefore loads 8 neighbours. The order of rows is free too: units whose accumulators hold every second row of a lane get
// the rows of w in such an order that what a lane holds follows each other.
// Layouts: AMD's matrix calculator and the PTX ISA (mma.m16n8k16). On the host all of them are emulated by shuffles.
#pragma once
#include "prelude/block.h"

#define MATRIX_NONE 0
#define MATRIX_MMA 1      // NVIDIA mma.sync, sm_80 and newer
#define MATRIX_MFMA 2     // gfx90a, gfx942; of gfx908 f16 alone
#define MATRIX_MFMA950 3  // gfx950: twice as many k an instruction
#define MATRIX_WMMA11 4   // gfx11: both halves of a wave hold the same operands
#define MATRIX_WMMA12 5   // gfx12
#ifndef P_MATRIX_UNIT
#define P_MATRIX_UNIT MATRIX_NONE
#endif

template <class E> struct is_half { static constexpr bool value = same_type<E, f16_t>::value || same_type<E, bf16_t>::value; };

#if P_MATRIX_UNIT == MATRIX_MMA
#include "prelude/matrix/mma.h"
#elif P_MATRIX_UNIT == MATRIX_MFMA || P_MATRIX_UNIT == MATRIX_MFMA950
#include "prelude/matrix/mfma.h"
#elif P_MATRIX_UNIT == MATRIX_WMMA11
#include "prelude/matrix/wmma11.h"
#elif P_MATRIX_UNIT == MATRIX_WMMA12
#include "prelude/matrix/wmma12.h"
#endif
