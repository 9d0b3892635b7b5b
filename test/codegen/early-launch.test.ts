// Which calls may be launched before those ahead of them are done.
import { expect, test } from 'vitest'
import { compileProgram } from '../../codegen/compile.ts'
import { findTarget } from '../../codegen/targets.ts'
import { parseGraph } from '../../ir/parse.ts'
import { specialize } from '../../ir/specialize.ts'
import { verify } from '../../ir/verify.ts'
import { optimise } from '../../passes/pipeline.ts'
import { tinyStep } from '../tiny-step.ts'

const decodeGraph = () => optimise(verify(specialize(tinyStep(), { R: 1, T: 1 }, 'decode')), 3, undefined)

const early = (target: string, graph = decodeGraph()): string[] => {
  const { calls } = compileProgram(graph, { target: findTarget(target), limits: { T: 1, R: 1, L: 16, P: 16, M: 8 } })
  expect(calls[0]!.early).toBeUndefined() // a step begins when the one before is done
  expect(calls.at(-1)!.early).toBeUndefined()
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

test('none in a program that ends in a kernel that lets others begin', () => {
  const graph = parseGraph(`graph @two(%x: f32[1, 64]) {
    @a: f32[64, 64] @b: f32[64, 64]
    %0: f32[1, 64] = matmul(%x, @a)
    %1: f32[1, 64] = matmul(%0, @b)
    return y = %1 }`)
  expect(early('sm_90', graph)).toEqual([])
})
