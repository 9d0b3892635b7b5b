// --print-after and --verbose: what a pass changed in a graph, and what a step costs before and after it.
import { fail } from '../../ir/diagnostic.ts'
import type { Bindings } from '../../ir/type.ts'
import { printChanges } from '../../passes/changes.ts'
import type { PassRecord } from '../../passes/pass.ts'
import { pipeline } from '../../passes/pipeline.ts'
import { graphStatistics } from '../../passes/statistics.ts'
import { megabytes } from './progress.ts'

/** Throws the Diagnostic `no-pass` for a name that no pass has. */
export function checkPassName(name: string): void {
  const names = [...new Set(pipeline.map(([, pass]) => pass.name))]
  if (name === 'all' || names.includes(name)) return
  fail({ code: 'no-pass', message: `there is no pass ${name}`, help: `passes are ${names.join(', ')}; or all` })
}

/** A step of one token behind 255 others, whatever the pages. */
const counted: Bindings = { T: 1, R: 1, L: 256, P: 16, M: 16 }

/** `fuse-swiglu  7 → 6 ops, 5 → 4 kernels, 6.4 → 6.3 MB a step`, the numbers once where a pass leaves them. */
export function passSummary({ pass, before, after }: PassRecord): string {
  const [old, now] = [graphStatistics(before, counted), graphStatistics(after, counted)]
  const change = (a: string | number, b: string | number) => (a === b ? `${a}` : `${a} → ${b}`)
  const counts = `${change(old.ops, now.ops)} ops, ${change(old.kernels, now.kernels)} kernels`
  return `${pass.name.padEnd(24)} ${counts}, ${change(megabytes(old.bytes), megabytes(now.bytes))} a step`
}

/** The summary, and the lines that went and came; ids survive every rewrite, so a changed node shows as both. */
export function passChanges(record: PassRecord): string {
  const changes = printChanges(record.before, record.after)
  return `${passSummary(record)}\n${changes || '  nothing changed'}`
}
