// Random graphs, fused and compiled for the device, agree with the reference executor on the graph as it was written.
import assert from 'node:assert/strict'
import { compileProgram } from '../../codegen/compile.ts'
import type { KernelSource } from '../../codegen/program.ts'
import { type Graph, typeOf } from '../../ir/graph.ts'
import { graphData } from '../../ir/graph-data.ts'
import type { HostTensor } from '../../ir/host-tensor.ts'
import { printGraph } from '../../ir/print.ts'
import { encodeValues } from '../../ir/tensor-bytes.ts'
import { isFloat, isQuant } from '../../ir/type.ts'
import { optimise } from '../../passes/pipeline.ts'
import { compileJob } from '../../runtime/compile/kernel-compiler.ts'
import { compileGraph } from '../../src/api/compile-graph.ts'
import fc from '../fast-check.ts'
import { quantize } from '../quantize.ts'
import { type RandomGraphOptions, randomGraph } from '../random-graph.ts'
import { describeError, type Suite } from './suite.ts'
import type { SuiteDevice } from './suite-device.ts'

interface Family {
  readonly options: RandomGraphOptions
  /** allowed error, relative to the largest value of an output: what rounding adds up to on the way */
  readonly tolerance: number
}

const families: readonly Family[] = [
  { options: {}, tolerance: 1e-4 },
  { options: { weights: ['f32', 'f16', 'bf16', 'q8_0', 'q4_0'], kvDtype: 'f16' }, tolerance: 1e-2 },
  { options: { activations: 'f16', weights: ['f16', 'q8_0'], kvDtype: 'f16' }, tolerance: 6e-2 },
  { options: { activations: 'bf16', weights: ['bf16', 'q5_1'], kvDtype: 'bf16' }, tolerance: 0.3 },
]

export async function randomGraphsPart(suite: Suite, device: SuiteDevice, count: number): Promise<void> {
  const seed = 2026
  const each = Math.ceil(count / families.length)
  const drawn = families.flatMap(({ options, tolerance }, i) =>
    fc.sample(randomGraph(options), { numRuns: each, seed: seed + i }).map((graph) => ({ graph, tolerance })),
  )
  await suite.check(`the kernels of ${drawn.length} graphs compile`, () =>
    compileAll(
      device,
      drawn.map(({ graph }) => graph),
    ),
  )
  const failures: string[] = []
  let [indices, others] = [0, 0]
  for (const [i, { graph, tolerance }] of drawn.entries()) {
    try {
      const found = await runBoth(device, graph, i + 1, tolerance)
      indices += found.indices
      others += found.others
    } catch (error) {
      failures.push(`graph ${i}: ${describeError(error)}\n${printGraph(graph)}`)
    }
  }
  await suite.check(`${drawn.length} random graphs agree with the reference executor`, () => {
    if (failures.length) throw new Error(`${failures.length} graphs differ\n${failures.slice(0, 5).join('\n')}`)
  })
  await suite.check('indices of largest values agree but for ties', () => assert.ok(others <= indices / 20))
  suite.note(
    `seed ${seed}, ${each} graphs each: ${families.map(({ options, tolerance }) => `${JSON.stringify(options)} within ${tolerance} of an output's largest value`).join('; ')}; ${others} of ${indices} indices differ, where rounding decides between two values`,
  )
}

const limits = { T: 5, R: 2, M: 3, P: 7, L: 12 }

/** All kernels at once: graph by graph most compilers would idle. */
async function compileAll(device: SuiteDevice, graphs: readonly Graph[]): Promise<void> {
  const sources = new Map<string, KernelSource>()
  for (const graph of graphs)
    for (const source of compileProgram(optimise(graph, 3), { target: device.target, limits }).kernels) {
      const entries = new Set([...(sources.get(source.id)?.entries ?? []), ...source.entries])
      sources.set(source.id, { ...source, entries: [...entries] })
    }
  await device.service.compileAll([...sources.values()].map((source) => compileJob(source, device.target)))
}

async function runBoth(
  device: SuiteDevice,
  graph: Graph,
  seed: number,
  tolerance: number,
): Promise<{ indices: number; others: number }> {
  const data = graphData(graph, seed)
  const weights = Object.fromEntries(
    graph.weights.map((id) => {
      const type = typeOf(graph, id)
      const values = data.weight(id.slice(1), type).data as Float32Array
      return [
        id.slice(1),
        {
          bytes: isQuant(type.dtype)
            ? quantize(type.dtype, Float32Array.from(values))
            : encodeValues(type.dtype, values),
        },
      ]
    }),
  )
  const inputs = Object.fromEntries(
    Object.entries(data.inputs)
      .filter(([name]) => !typeOf(graph, `%${name}`).state)
      .map(([name, tensor]) => [name, tensor.data as Float32Array]),
  )
  await using ours = await compileGraph(graph, { weights, limits, optLevel: 3, device })
  await using reference = await compileGraph(graph, { weights, limits, optLevel: 0, device: 'reference' })
  const [got, want] = [await ours.run(inputs, data.bindings), await reference.run(inputs, data.bindings)]
  let [indices, others] = [0, 0]
  for (const [name, wanted] of Object.entries(want)) {
    const found = got[name]!
    assert.deepEqual(found.shape, wanted.shape, name)
    if (!isFloat(wanted.dtype)) {
      indices += wanted.data.length
      others += Array.from(wanted.data, (v, i) => v !== found.data[i]).filter(Boolean).length
    } else compareFloats(name, found, wanted, tolerance)
  }
  return { indices, others }
}

function compareFloats(name: string, found: HostTensor, wanted: HostTensor, tolerance: number): void {
  const largest = Array.from(wanted.data, Math.abs).reduce((most, v) => Math.max(most, v), 0)
  for (let i = 0; i < wanted.data.length; i++) {
    const [a, b] = [found.data[i]!, wanted.data[i]!]
    if (Object.is(a, b) || Math.abs(a - b) <= tolerance * Math.max(largest, 1e-3)) continue
    assert.fail(`${name}[${i}] is ${a}, expected ${b}`)
  }
}
