// Progress on a terminal and elsewhere, and the changes of a pass as text.
import { expect, test } from 'vitest'
import { parseGraph } from '../../../ir/parse.ts'
import { fuseSwiglu } from '../../../passes/fuse-swiglu.ts'
import { passChanges } from '../../../src/cli/pass-changes.ts'
import { bar, megabytes, Progress } from '../../../src/cli/progress.ts'

function recorded(isTTY: boolean, quiet = false): string {
  let text = ''
  const stream = { isTTY, columns: 24, write: (part: string) => (text += part) }
  const progress = new Progress(quiet, stream as unknown as NodeJS.WriteStream)
  progress.update(`kernels ${bar(0.5)} 7/14`)
  progress.line('kernels  14 ready')
  progress.line('kernels  14 ready')
  progress.clear()
  return text
}

test('elsewhere: a line a stage, each once', () => expect(recorded(false)).toBe('kernels  14 ready\n'))

test('a terminal: one line that rewrites itself, no wider than the terminal', () =>
  expect(recorded(true)).toBe('\r\x1b[2Kkernels ██████████░░░░░\r\x1b[2Kkernels  14 ready\n'))

test('quiet: nothing', () => expect(recorded(true, true)).toBe(''))

test('bytes', () => expect([6_298_112, 1.6e10].map(megabytes)).toEqual(['6.3 MB', '16.00 GB']))

test('a pass shows the lines that went and the lines that came', () => {
  const before = parseGraph(`
    graph @mlp(%gate: f32[T, 64], %up: f32[T, 64]) {
      %s: f32[T, 64] = silu(%gate)
      %y: f32[T, 64] = mul(%s, %up)
      return y = %y
    }`)
  const record = { pass: fuseSwiglu, before, after: fuseSwiglu.run(before), ms: 0 }
  expect(passChanges(record)).toMatchInlineSnapshot(`
    "fuse-swiglu              2 → 1 ops, 2 → 1 kernels, 0.0 MB a step
    - %s: f32[T, 64] = silu(%gate)
    - %y: f32[T, 64] = mul(%s, %up)
    + %y: f32[T, 64] = swiglu(%gate, %up)"
  `)
  expect(passChanges({ ...record, after: before })).toMatch(
    /^fuse-swiglu +2 ops, 2 kernels, .* a step\n {2}nothing changed$/,
  )
})
