// Random graphs as the host's kernels compute them, unfused and fused, against the reference executor: what no one thought
// of writing a case for, such as views on views, copies below them, and values that many read.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Graph } from '../../../ir/graph.ts'
import { graphData } from '../../../ir/graph-data.ts'
import type { HostTensor } from '../../../ir/host-tensor.ts'
import { printGraph } from '../../../ir/print.ts'
import { executeReference } from '../../../ir/reference.ts'
import { compileGraph } from '../../../src/api/compile-graph.ts'
import { type Device, openDevice } from '../../../src/api/device.ts'
import fc from '../../fast-check.ts'
import { randomGraph } from '../../random-graph.ts'

let device: Device
beforeAll(async () => {
  device = await openDevice('host')
})
afterAll(() => device[Symbol.dispose]())

const graphs = fc.sample(randomGraph({ size: 12 }), { numRuns: 10, seed: 7 })
const limits = { T: 8, R: 4, L: 64, P: 16, M: 8 }

test.each(graphs.flatMap((graph, i) => ([0, 3] as const).map((level) => [i, level, graph] as const)))(
  'graph %i at -O%i',
  async (_, optLevel, graph) => {
    const data = graphData(graph)
    const isState = (name: string) => graph.types[`%${name}`]!.state
    const inputs = Object.entries(data.inputs)
    const weights = Object.fromEntries(
      graph.weights.map((id) => [id.slice(1), data.weight(id.slice(1), graph.types[id]!).data]),
    )
    await using compiled = await compileGraph(graph, { device, optLevel, weights, limits })
    const given = inputs.filter(([name]) => !isState(name)).map(([name, { data }]) => [name, data])
    const got = await compiled.run(Object.fromEntries(given), data.bindings)
    // states of a device begin as zeros
    const zeroed = inputs.map(([name, tensor]): [string, HostTensor] => [
      name,
      isState(name) ? { ...tensor, data: tensor.data.slice().fill(0) } : tensor,
    ])
    expectClose(got, executeReference(graph, { ...data, inputs: Object.fromEntries(zeroed) }), graph)
  },
)

function expectClose(
  got: Readonly<Record<string, HostTensor>>,
  expected: Readonly<Record<string, HostTensor>>,
  graph: Graph,
): void {
  for (const [name, { data, shape }] of Object.entries(got)) {
    const wanted = expected[name]!
    expect(shape).toEqual(wanted.shape)
    const close = (v: number, i: number) =>
      Object.is(v, data[i]) || Math.abs(v - data[i]!) <= 1e-3 * Math.max(1, Math.abs(v))
    const at = wanted.data.findIndex((v, i) => !close(v, i))
    if (at >= 0) expect.fail(`${name}[${at}] is ${data[at]}, expected ${wanted.data[at]}, in\n${printGraph(graph)}`)
  }
}
