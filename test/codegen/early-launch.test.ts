// Which calls may be launched before those ahead of them are done.
import { expect, test } from 'vitest'
import { compileProgram } from '../../codegen/compile.ts'
import { findTarget } from '../../codegen/targets.ts'
import { specialize } from '../../ir/specialize.ts'
import { verify } from '../../ir/verify.ts'
import { optimise } from '../../passes/pipeline.ts'
import { tinyStep } from '../tiny-step.ts'

const early = (target: string): string[] => {
  const graph = optimise(verify(specialize(tinyStep(), { R: 1, T: 1 }, 'decode')), 3, undefined)
  const { calls } = compileProgram(graph, { target: findTarget(target), limits: { T: 1, R: 1, L: 16, P: 16, M: 8 } })
  expect(calls[0]!.early).toBeUndefined() // a step begins when the one before is done
  return calls.filter((call) => call.early).map((call) => call.entry)
}

test('kernels that wait themselves start early on devices that can do that', () => {
  const entries = early('sm_90')
  expect(entries.filter((entry) => entry === 'gemv').length).toBeGreaterThanOrEqual(4)
  expect(entries).toContain('rope_attention')
})

test.each(['gfx942', 'gfx1100', 'sm_80', 'host'])('none on %s', (target) => {
  expect(early(target)).toEqual([])
})
