import { match, P } from 'ts-pattern'
import { penalisedPublish } from '../ir/ops/index.ts'
import type { Value } from '../ir/value.ts'
import { editPass } from './rewrite.ts'
import type { Rewriter } from './rewriter.ts'

/**
 * token = penalised_sample(logits, …, positions, …); ring', positions', step' = publish(ring, token, positions, step)
 *   ⇒  token, ring', positions', step' = penalised_publish(logits, …, positions, …, ring, step)
 */
export const fusePenalisedPublish = editPass(
  {
    name: 'fuse-penalised-publish',
    doc: 'Saves a kernel at the end of each decode step.',
    numerics: 'exact',
    root: 'publish',
  },
  (rewriter) => {
    for (const publish of rewriter.valuesOf('publish'))
      match(publish.in)
        .with(
          {
            ring: P.select('ring'),
            token: P.select('token', { op: 'penalised_sample', in: { positions: P.select('drawnAt') } }),
            positions: P.select('positions'),
            step: P.select('step'),
          },
          ({ ring, token, drawnAt, positions, step }) => {
            if (drawnAt.id !== positions.id) return
            const published = rewriter.nodeOf(publish.id)!.out.map((id) => rewriter.value(id))
            fuse(rewriter, token, { ...token.in, ring, step }, published as [Value, Value, Value])
          },
        )
        .otherwise(() => {})
  },
)

function fuse(
  rewriter: Rewriter,
  token: Value,
  operands: Record<string, Value>,
  [published, positions, step]: [Value, Value, Value],
): void {
  const place = rewriter.placeFor([token, published, positions, step], Object.values(operands))
  if (!place) return
  rewriter.standBefore(place)
  const fused = penalisedPublish(operands as never, {}, token.label)
  rewriter.replace(token, fused.token)
  rewriter.replace(published, fused.published)
  rewriter.replace(positions, fused.next_positions)
  rewriter.replace(step, fused.next_step)
}
