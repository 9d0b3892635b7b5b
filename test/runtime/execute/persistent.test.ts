// Programs as one launch, run on the host: the same numbers as the same kernels launched one by one, whatever the graph;
// and blocks that wait in vain say so.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compileProgram } from '../../../codegen/compile.ts'
import { persistentProgram } from '../../../codegen/persistent.ts'
import type { Program } from '../../../codegen/program.ts'
import type { Graph } from '../../../ir/graph.ts'
import { type GraphData, graphData } from '../../../ir/graph-data.ts'
import type { HostTensor } from '../../../ir/host-tensor.ts'
import { printGraph } from '../../../ir/print.ts'
import { specialize } from '../../../ir/specialize.ts'
import { encodeValues } from '../../../ir/tensor-bytes.ts'
import { verify } from '../../../ir/verify.ts'
import { optimise } from '../../../passes/pipeline.ts'
import { DeviceModel } from '../../../runtime/execute/device-model.ts'
import { PersistentLaunch } from '../../../runtime/execute/persistent-launch.ts'
import { type ComputeDevice, openDevice } from '../../../src/api/device.ts'
import fc from '../../fast-check.ts'
import { randomGraph } from '../../random-graph.ts'
import { tinyStep } from '../../tiny-step.ts'

const bound = { T: 3, R: 2, P: 17, M: 8 }
const limits = { ...bound, L: 64 }

const devices = new Map<string, ComputeDevice>()
beforeAll(async () => {
  for (const id of ['host', 'host-wave32', 'host-wave64']) devices.set(id, (await openDevice(id)) as ComputeDevice)
})
afterAll(() => {
  for (const device of devices.values()) device[Symbol.dispose]()
})

/** All outputs of one run, states too. */
async function run(program: Program, device: ComputeDevice, data: GraphData): Promise<Record<string, HostTensor>> {
  const { graph } = program
  using model = new DeviceModel({
    driver: device.driver,
    compiler: device.compiler,
    bindings: limits,
    weights: {
      read(name, type, into, offset) {
        const bytes = encodeValues(type.dtype, data.weight(name, type).data)
        into.set(bytes.subarray(offset, offset + into.length))
      },
    },
  })
  const [executable] = await model.load([{ program }])
  for (const [name, tensor] of Object.entries(data.inputs)) {
    const { dtype, state } = graph.types[`%${name}`]!
    if (state) continue
    const is32 = dtype === 'f32' || dtype === 'i32' || dtype === 'u32'
    executable!.setInput(name, is32 ? tensor.data : encodeValues(dtype, tensor.data))
  }
  const results: Record<string, HostTensor> = {}
  for (let again = 0; again < 3; again++) {
    executable!.sendInputs()
    executable!.run(data.bindings)
    for (const { name } of program.outputs) results[`${name} ${again}`] = await executable!.read(name, data.bindings)
  }
  return results
}

async function expectSame(graph: Graph, id: string, block: number): Promise<boolean> {
  const device = devices.get(id)!
  const program = compileProgram(graph, { target: device.target, limits, block })
  const step = persistentProgram(program, limits)
  if (typeof step === 'string') return false
  const data = graphData(graph, 1, bound)
  const [plain, persistent] = [await run(program, device, data), await run(step, device, data)]
  for (const [name, { data: wanted }] of Object.entries(plain)) {
    const got = persistent[name]!.data
    const at = wanted.findIndex((v, i) => !Object.is(v, got[i]))
    if (at >= 0)
      expect.fail(`${name}[${at}] is ${got[at]}, launched one by one ${wanted[at]}, in\n${printGraph(graph)}`)
  }
  return true
}

describe('the same bits as launches one by one', () => {
  const graphs = fc.sample(randomGraph({ size: 12 }), { numRuns: 8, seed: 11 })
  test('of random graphs, fused and not', async () => {
    let ran = 0
    for (const graph of graphs)
      for (const level of [0, 3] as const)
        if (await expectSame(specialize(optimise(graph, level), bound, 'fixed'), 'host', 1)) ran++
    expect(ran).toBeGreaterThan(6) // others have nothing to do, or depend on the length of the context
  })
  test.each(['host-wave32', 'host-wave64'])('of a random graph on %s', async (id) => {
    const ran = await Promise.all(
      graphs.slice(0, 3).map((graph) => expectSame(specialize(optimise(graph, 3), bound, 'fixed'), id, 128)),
    )
    expect(ran).toContain(true)
  })
  test.each([
    ['llama', 'host', 1],
    ['qwen3', 'host', 1],
    ['llama', 'host-wave32', 128],
    ['qwen3', 'host-wave64', 128],
  ] as const)('of a step of %s on %s', async (architecture, id, block) => {
    const changes = { architecture, qkNorm: architecture === 'qwen3' }
    const graph = optimise(verify(specialize(tinyStep(changes), { R: 1, T: 1 }, 'decode')), 3)
    expect(await expectSame(graph, id, block)).toBe(true)
  })
})

test('blocks that wait in vain give up, and say where', async () => {
  const device = devices.get('host')!
  const graph = optimise(verify(specialize(tinyStep(), { R: 1, T: 1 }, 'decode')), 3)
  const program = compileProgram(graph, { target: device.target, limits, block: 1 })
  const step = persistentProgram(program, limits) as Program
  const images = await device.compiler.compile(step.kernels, device.target)
  using module = device.driver.loadModule(images.get(step.kernels[0]!.id)!)
  using memory = device.driver.alloc(2 ** 20)
  using stream = device.driver.createStream()
  device.driver.fill(memory.address, 0, memory.bytes)
  using launch = new PersistentLaunch(step, step.persistent!, {
    driver: device.driver,
    kernel: module.kernel('step'),
    address: () => memory.address, // zeros everywhere: token 0, position 0, page 0
    bindings: limits,
    blocks: 2 * device.driver.properties.multiprocessors, // half of them wait for those that have no thread
    maxSpins: 1000,
  })
  launch.enqueue(stream)
  stream.synchronize()
  expect(() => launch.check()).toThrow(/waited in vain for each other/)
})
