// --print-after: what a pass changed in a graph, as lines that went and lines that came.
import { fail } from '../../ir/diagnostic.ts'
import { printGraph } from '../../ir/print.ts'
import type { PassRecord } from '../../passes/pass.ts'
import { pipeline } from '../../passes/pipeline.ts'

/** Throws the Diagnostic `no-pass` for a name that no pass has. */
export function checkPassName(name: string): void {
  const names = [...new Set(pipeline.map(([, pass]) => pass.name))]
  if (name === 'all' || names.includes(name)) return
  fail({ code: 'no-pass', message: `there is no pass ${name}`, help: `passes are ${names.join(', ')}; or all` })
}

/** Unchanged lines are left out; ids survive every rewrite, so a changed node shows as its old line and its new one. */
export function passChanges({ pass, before, after }: PassRecord): string {
  const title = `${pass.name}: ${before.order.length} → ${after.order.length} ops`
  if (before === after) return `${title}, nothing changed`
  const [old, now] = [printGraph(before).split('\n'), printGraph(after).split('\n')]
  const [wasThere, isThere] = [new Set(old), new Set(now)]
  const lines: string[] = []
  for (let i = 0, j = 0; i < old.length || j < now.length; ) {
    if (i < old.length && !isThere.has(old[i]!)) lines.push(`- ${old[i++]}`)
    else if (j < now.length && !wasThere.has(now[j]!)) lines.push(`+ ${now[j++]}`)
    else {
      i++
      j++
    }
  }
  return [title, ...lines].join('\n')
}
