// Programs as one launch: what becomes a stage, where barriers stand, whose weights are prefetched meanwhile.
import { describe, expect, test } from 'vitest'
import { absent, compileProgram } from '../../codegen/compile.ts'
import { persistentProgram, stepBlock } from '../../codegen/persistent.ts'
import { type Program, printProgram } from '../../codegen/program.ts'
import type { Tuned } from '../../codegen/select.ts'
import { sharedDefines, stagesHeader } from '../../codegen/stages.ts'
import { findTarget } from '../../codegen/targets.ts'
import type { Graph } from '../../ir/graph.ts'
import { opNamed } from '../../ir/op.ts'
import { parseGraph } from '../../ir/parse.ts'
import { specialize } from '../../ir/specialize.ts'
import { verify } from '../../ir/verify.ts'
import { optimise } from '../../passes/pipeline.ts'
import fc from '../fast-check.ts'
import { randomGraph } from '../random-graph.ts'
import { tinyStep } from '../tiny-step.ts'

const all = { T: 2, R: 2, L: 16, P: 16, M: 8 }
const bindings = { P: 16, M: 8 }

function persistent(graph: Graph, target = 'gfx942', block = 256): Program {
  const program = compileProgram(graph, { target: findTarget(target), limits: all, block })
  const step = persistentProgram(program, all)
  if (typeof step === 'string') throw new Error(step)
  return step
}

const decode = (changes = {}): Graph =>
  optimise(verify(specialize(tinyStep(changes), { R: 1, T: 1 }, 'decode')), 3, undefined)

test('the printed program', () => {
  const graph = parseGraph(`graph @two(%x: f32[1, 64]) {
    @a: f32[64, 64] @b: f32[64, 64] @c: f32[64, 64]
    %0: f32[1, 64] = matmul(%x, @a)
    %1: f32[1, 64] = matmul(%x, @b)
    %2: f32[1, 64] = mul(%0, %1)
    %3: f32[1, 64] = matmul(%2, @c)
    return y = %3 }`)
  const text = printProgram(persistent(graph))
  expect(text.replace(/gemv\w*/g, 'gemv')).toMatchInlineSnapshot(`
    "program @two for gfx942: 4 stages, 2 barriers in one launch of blocks of 256, 0 launches behind it, arena 768 bytes, T ≤ 2, R ≤ 2, L ≤ 16, P ≤ 16, M ≤ 8 {
      0: gemv(%0, %x, , @a, , , T=1)
      1: gemv(%1, %x, , @b, , , T=1)
      barrier, meanwhile prefetch weights of call 3
      2: binary(%2, %0, %1, rows=1, cols=64)
      barrier
      3: gemv(%3, %2, , @c, , , T=1)
    }"
  `)
})

describe('barriers', () => {
  /** Straight from the definition: no call may touch memory that another wrote, or write what another reads, without a barrier between. */
  function hazards(program: Program): string[] {
    const found: string[] = []
    const touches = program.calls.map((call) => {
      const op = opNamed(call.op)
      const names = call.args.map(({ name }) => name)
      return call.args.flatMap((arg) => {
        if (arg.kind !== 'buffer' || arg.buffer === absent) return []
        const buffer = program.buffers[arg.buffer]!
        const result =
          (op.results.includes(arg.name) && !names.includes(`${arg.name}_out`)) || arg.name.endsWith('_out')
        const scratch = arg.buffer === `${call.node}.${arg.name}`
        const writes = result || scratch || Object.values(op.aliases).includes(arg.name)
        const place = buffer.kind === 'arena' ? buffer.offset! : 0
        return [{ memory: buffer.kind === 'arena' ? '' : buffer.id, from: place, to: place + buffer.bytes, writes }]
      })
    })
    const count = program.persistent!.stages.length
    for (let a = 0; a < count; a++) {
      for (let b = a + 1; b < count; b++) {
        if (program.persistent!.stages.slice(a, b).some((stage) => stage.barrierAfter)) break
        for (const x of touches[a]!)
          for (const y of touches[b]!)
            if (x.memory === y.memory && x.from < y.to && y.from < x.to && (x.writes || y.writes))
              found.push(`${a} and ${b} on ${x.memory || 'the arena'}`)
      }
    }
    return found
  }

  test('separate what depends on each other, in steps of every kind of model', () => {
    for (const changes of [{}, { attentionBias: true }, { architecture: 'qwen3', qkNorm: true }]) {
      const program = persistent(decode(changes))
      expect(hazards(program)).toEqual([])
    }
  })

  test('separate what depends on each other, in random graphs', () =>
    fc.assert(
      fc.property(randomGraph({ size: 12 }), fc.constantFrom(0, 3), (graph, level) => {
        const fixed = specialize(optimise(graph, level as 0 | 3), { T: 2, R: 2, P: 16, M: 8 }, 'fixed')
        const program = compileProgram(fixed, { target: findTarget('gfx942'), limits: all, block: 256 })
        const step = persistentProgram(program, all)
        fc.pre(typeof step !== 'string') // nothing to do, or attention over a context whose length is not known
        expect(hazards(step as Program)).toEqual([])
      }),
      { numRuns: 40 },
    ))

  test('are left out between calls that have nothing in common', () => {
    const graph = parseGraph(`graph @apart(%x: f32[1, 64], %y: f32[1, 64]) {
      %0: f32[1, 64] = silu(%x)
      %1: f32[1, 64] = silu(%y)
      %2: f32[1, 64] = add(%0, %1)
      %3: f32[1, 64] = tanh(%2)
      return y = %3 }`)
    expect(persistent(graph).persistent!.stages.map((stage) => stage.barrierAfter)).toEqual([false, true, true, false])
  })
})

test('weights of the next matmul are prefetched once, at the first barrier behind the one before', () => {
  const program = persistent(decode())
  const asked = program.persistent!.stages.flatMap(({ prefetches }) => prefetches ?? [])
  expect(new Set(asked).size).toBe(asked.length)
  expect(asked.every((at) => program.calls[at]!.entry.startsWith('gemv'))).toBe(true)
  for (const [i, { prefetches }] of program.persistent!.stages.entries())
    if (prefetches !== undefined) expect(prefetches).toBeGreaterThan(i)
})

test('on NVIDIA blocks are so small that attention has its kernel for few queries', () => {
  const target = findTarget('sm_90')
  const program = persistent(decode(), 'sm_90', stepBlock(target))
  expect(program.calls.map(({ entry }) => entry)).not.toContain('attention_prefill')
})

test('times are taken down only where they are prefetched', () => {
  const program = compileProgram(decode(), { target: findTarget('gfx942'), limits: all, block: 256 })
  const [plain, traced] = [
    persistentProgram(program, all),
    persistentProgram(program, all, { trace: true }),
  ] as Program[]
  expect(plain!.kernels[0]!.defines).not.toHaveProperty('P_TRACE')
  expect(traced!.kernels[0]!.defines).toHaveProperty('P_TRACE', 1)
  expect(traced!.kernels[0]!.id).not.toBe(plain!.kernels[0]!.id)
})

describe('what cannot be one launch', () => {
  test('a step whose launches depend on the length of the context', () => {
    const graph = verify(specialize(tinyStep(), { R: 1, T: 1 }, 'decode'))
    const program = compileProgram(graph, { target: findTarget('gfx942'), limits: all, block: 256 })
    expect(persistentProgram(program, { ...bindings, R: 1 })).toMatch(/changes from step to step/)
  })
  test('kernels in blocks of different sizes', () => {
    const tuned: Tuned = ({ implements: op }) => (op === 'embed_append' ? { P_BLOCK: 128 } : undefined)
    const program = compileProgram(decode(), { target: findTarget('gfx942'), limits: all, tuned })
    expect(persistentProgram(program, all)).toMatch(/runs in blocks of/)
  })
})

test('each kernel has a namespace and its own defines, which end with it', () => {
  const program = persistent(decode())
  const { stages } = program.kernels[0]!
  const header = stagesHeader(stages!)
  const defined = [...header.matchAll(/^#define (P_\w+)/gm)].map((m) => m[1])
  const ended = new Set([...header.matchAll(/^#undef (P_\w+)/gm)].map((m) => m[1]))
  expect(defined.filter((name) => !ended.has(name) && !sharedDefines.has(name!))).toEqual([])
  expect(header.match(/^namespace stage_\d+ \{$/gm)).toHaveLength(stages!.length)
})
