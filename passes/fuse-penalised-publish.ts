import { penalisedPublish } from '../ir/ops/index.ts'
import type { Value } from '../ir/value.ts'
import { editPass } from './rewrite.ts'

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
    for (const node of rewriter.nodes()) {
      if (node.op !== 'publish') continue
      const { ring, token, positions, step } = rewriter.value(node.id).in as Record<string, Value>
      if (token!.op !== 'penalised_sample' || token!.in.positions!.id !== positions!.id) continue
      const operands = { ...token!.in, ring: ring!, step: step! }
      const [published, nextPositions, nextStep] = node.out.map((id) => rewriter.value(id))
      const roots = [token!, published!, nextPositions!, nextStep!]
      const place = rewriter.placeFor(roots, Object.values(operands) as Value[])
      if (!place) continue
      rewriter.standBefore(place)
      const fused = penalisedPublish(operands as never, {}, token!.label)
      rewriter.replace(token!, fused.token)
      rewriter.replace(published!, fused.published)
      rewriter.replace(nextPositions!, fused.next_positions)
      rewriter.replace(nextStep!, fused.next_step)
    }
  },
)
