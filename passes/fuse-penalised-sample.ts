import { match, P } from 'ts-pattern'
import { penalisedSample } from '../ir/ops/index.ts'
import type { Value } from '../ir/value.ts'
import { rewritePass } from './rewrite.ts'

/** logit_bias(frequency_penalty(repeat_penalty(logits))), each read by the next alone */
const penalised = {
  op: 'logit_bias',
  uses: 1,
  in: {
    logits: P.select('counted', {
      op: 'frequency_penalty',
      uses: 1,
      in: {
        logits: P.select('repeated', {
          op: 'repeat_penalty',
          uses: 1,
          in: { logits: P.select('logits'), penalty: P.select('penalty'), window: P.select('window') },
        }),
      },
    }),
    ids: P.select('ids'),
    values: P.select('values'),
  },
} as const

/** sample(logit_bias(frequency_penalty(repeat_penalty(logits))))  ⇒  penalised_sample(logits, …) */
export const fusePenalisedSample = rewritePass({
  name: 'fuse-penalised-sample',
  doc: 'Saves three kernels, and three writes and reads of the logits [R, V], of which few change, mostly none.',
  numerics: 'rounding', // logits that are changed twice are not rounded to their dtype in between
  root: 'sample',
  rule: (draw) =>
    match(draw.in)
      .with(
        { logits: penalised, positions: P.select('positions') },
        ({ counted, repeated, positions, logits, penalty, window, ids, values }) => {
          const options = draw.in as Record<SampleOperand, Value>
          const over = (counted as Value).in as Record<FrequencyOperand, Value>
          const places = ['history', 'positions', 'page_table'] as const
          if (places.some((name) => over[name].id !== repeated.in[name]!.id)) return null
          if (over.positions.id !== positions.id) return null
          const operands = { ...options, ...over, logits, penalty, window, ids, values }
          return penalisedSample(operands, {}, draw.label)
        },
      )
      .otherwise(() => null),
})

type SampleOperand = 'logits' | 'positions' | 'temperature' | 'top_k' | 'top_p' | 'min_p' | 'seed'
type FrequencyOperand = 'logits' | 'history' | 'positions' | 'page_table' | 'from' | 'frequency' | 'presence'
