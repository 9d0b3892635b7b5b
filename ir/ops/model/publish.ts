import { z } from 'zod'
import { defineOp, expect, expectDtype, expectRank, expectState, sameDim } from '../../op.ts'
import { printType } from '../../type.ts'

/**
 * How a token gets to the host without a copy: the ring lies in memory that both sides see, and the host waits for the number
 * of the step beside the token. Nothing of it depends on the step but data on the device, so that a captured step can end
 * with it.
 */
export const publish = defineOp('publish', {
  doc:
    'ring[step mod N, r] = (token[r], step + 1), where the host reads it; next_step = step + 1; next_positions = positions + 1, ' +
    'where negative, in rows without a request, as they were',
  operands: {
    ring: 'state i32[N, R, 2] N steps that the host may be behind',
    token: 'i32[R]',
    positions: 'i32[R]',
    step: 'i32[1] counts from 0',
  },
  attrs: z.strictObject({}),
  results: ['published', 'next_positions', 'next_step'],
  aliases: { published: 'ring' },
  infer({ ring, token, positions, step }) {
    expectState('ring', ring)
    expectRank('ring', ring, 3)
    for (const [name, type] of Object.entries({ ring, token, positions, step })) expectDtype(name, type, 'i32')
    for (const [name, type] of Object.entries({ token, positions, step })) expectRank(name, type, 1)
    sameDim('R', [ring, 1], [token, 0], [positions, 0])
    expect(ring.shape[2] === 2 && typeof ring.shape[0] === 'number', `ring must be i32[N, R, 2], is ${printType(ring)}`)
    expect(step.shape[0] === 1, `step must be one number, is ${printType(step)}`)
    return { published: ring, next_positions: positions, next_step: step }
  },
  reference({ ring, token, positions, step }) {
    const [slots, rows] = [ring.shape[0]!, token.shape[0]!]
    const now = step.data[0]!
    for (let r = 0; r < rows; r++) ring.data.set([token.data[r]!, now + 1], ((now % slots) * rows + r) * 2)
    return {
      published: ring,
      next_positions: { ...positions, data: Int32Array.from(positions.data, (p) => (p < 0 ? p : p + 1)) },
      next_step: { ...step, data: Int32Array.of(now + 1) },
    }
  },
})
