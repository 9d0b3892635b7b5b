// What a pass changed, as text.
import { type Graph, nodeOf, type ValueId } from '../ir/graph.ts'
import { printNode } from '../ir/print.ts'

const elided = '  …'

/**
 * The difference of two graphs: nodes that went behind `-`, nodes that came or read something else now behind `+`, and one
 * line of dots for each stretch of nodes that stayed. Empty if nothing changed.
 */
export function printChanges(before: Graph, after: Graph): string {
  const place = new Map(before.order.map((id, i) => [id, i]))
  const stays = (id: ValueId) =>
    place.has(id) &&
    after.nodes[id] !== undefined &&
    printNode(before, nodeOf(before, id)) === printNode(after, after.nodes[id])
  const lines: string[] = []
  let [next, added]: [number, string[]] = [0, []]
  const flush = (upTo: number) => {
    for (; next < upTo; next++) {
      const id = before.order[next]!
      if (!stays(id)) lines.push(`- ${printNode(before, nodeOf(before, id))}`)
    }
    lines.push(...added)
    added = []
  }
  for (const id of after.order) {
    if (!stays(id)) added.push(`+ ${printNode(after, nodeOf(after, id))}`)
    else if (place.get(id)! >= next) {
      flush(place.get(id)!)
      next++
      if (lines.at(-1) !== elided) lines.push(elided)
    }
  }
  flush(before.order.length)
  for (const id of before.weights) if (!after.weights.includes(id)) lines.push(`- ${id}`)
  const outputs = ({ outputs: list }: Graph) =>
    `return ${list.map(({ name, value }) => `${name} = ${value}`).join(', ')}`
  if (outputs(before) !== outputs(after)) lines.push(`- ${outputs(before)}`, `+ ${outputs(after)}`)
  return lines.some((line) => line !== elided) ? lines.join('\n') : ''
}
