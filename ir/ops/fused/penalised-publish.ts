import { defineFusedOp } from '../../op.ts'
import { publish } from '../model/publish.ts'
import { penalisedOperands, penalisedSample } from './penalised-sample.ts'

export const penalisedPublish = defineFusedOp('penalised_publish', {
  doc: 'token = penalised_sample(logits, …), and publish(ring, token, positions, step) by who draws it',
  operands: {
    ...penalisedOperands,
    ring: 'state i32[N, R, 2] N steps that the host may be behind',
    step: 'i32[1] counts from 0',
  },
  results: ['token', 'published', 'next_positions', 'next_step'],
  aliases: { published: 'ring' },
  expand({ ring, step, ...drawn }) {
    const token = penalisedSample(drawn)
    return { token, ...publish({ ring, token, positions: drawn.positions, step }) }
  },
})
