// @ts-check
// An attention block with a paged KV cache: reads a prompt of five tokens, then three tokens one by one. The cache is a
// state of the graph and stays on the device between runs. Checked against plain JavaScript over all eight tokens.
//
//   node examples/attention.mjs [device]
import { compileGraph, GraphBuilder, ops, tensor } from 'rocmforge'

const [device = 'auto'] = process.argv.slice(2)
const [heads, kvHeads, channels, page, pages] = [4, 2, 32, 4, 3] // H, Hkv, C; tokens a page; pages in the cache

const graph = new GraphBuilder('attention_block')
const q = graph.input('q', tensor('f32', ['T', heads, channels]))
const k = graph.input('k', tensor('f32', ['T', kvHeads, channels]))
const v = graph.input('v', tensor('f32', ['T', kvHeads, channels]))
const positions = graph.input('positions', tensor('i32', ['T'])) // of each token in its text
const seq = graph.input('seq', tensor('i32', ['T'])) // which request each token belongs to
const page_table = graph.input('page_table', tensor('i32', ['R', 'M'])) // the pages of each request

const cache = (/** @type {string} */ name) => graph.state(name, 'f32', ['P', kvHeads, page, channels])
const kCache = ops.kvAppend({ cache: cache('k_cache'), x: k, positions, seq, page_table })
const vCache = ops.kvAppend({ cache: cache('v_cache'), x: v, positions, seq, page_table })
const read = (/** @type {typeof kCache} */ state) =>
  ops.repeatKv({ x: ops.kvRead({ cache: state, page_table }) }, { groups: heads / kvHeads }) // [R, L, H, C]
const scores = ops.scale({ x: ops.qkMatmul({ q, k: read(kCache), seq }) }, { by: channels ** -0.5 }) // [T, H, L]
const shares = ops.softmax({ x: ops.causalMask({ x: scores, positions }) })
graph.output('y', ops.pvMatmul({ p: shares, v: read(vCache), seq })) // [T, H, C]
graph.output('k_cache', kCache)
graph.output('v_cache', vCache)

const limits = { T: 8, R: 1, L: page * pages, P: pages, M: pages }
const block = await compileGraph(graph.build(), { device, limits })
try {
  const fused = block.graph.order.map((id) => block.graph.nodes[id]?.op)
  console.log(`ops after fusion: ${fused.join(', ')}`)

  const all = {
    q: noise(8 * heads * channels, 1),
    k: noise(8 * kvHeads * channels, 2),
    v: noise(8 * kvHeads * channels, 3),
  }
  const expected = plain(all)
  /** @type {[from: number, to: number][]} */
  const steps = [
    [0, 5],
    [5, 6],
    [6, 7],
    [7, 8],
  ]
  let worst = 0
  for (const [from, to] of steps) {
    const part = (/** @type {Float32Array} */ x) => x.subarray((x.length / 8) * from, (x.length / 8) * to)
    const step = {
      q: part(all.q),
      k: part(all.k),
      v: part(all.v),
      positions: Array.from({ length: to - from }, (_, t) => from + t),
      seq: Array.from({ length: to - from }, () => 0),
      page_table: [2, 0, 1], // pages need not lie in order
    }
    const result = await block.run(step, { T: to - from, R: 1, L: to, P: pages, M: pages })
    const y = /** @type {import('rocmforge').HostTensor} */ (result['y'])
    for (const [i, value] of y.data.entries()) {
      worst = Math.max(worst, Math.abs(Number(value) - Number(expected[from * heads * channels + i])))
    }
    console.log(`tokens ${from} to ${to - 1}: y = f32[${y.shape}]`)
  }
  console.log(`largest difference to plain JavaScript: ${worst.toExponential(1)}`)
  if (!(worst < 1e-5)) process.exitCode = 1
} finally {
  block.dispose()
}

/** Causal attention over all tokens at once, in f64. */
function plain(/** @type {{ q: Float32Array, k: Float32Array, v: Float32Array }} */ { q, k, v }) {
  const y = new Float64Array(q.length)
  for (let t = 0; t < 8; t++) {
    for (let h = 0; h < heads; h++) {
      const group = Math.floor((h * kvHeads) / heads)
      const at = (/** @type {number} */ l) => (l * kvHeads + group) * channels
      const row = (t * heads + h) * channels
      const exps = Array.from({ length: t + 1 }, (_, l) => {
        let dot = 0
        for (let c = 0; c < channels; c++) dot += Number(q[row + c]) * Number(k[at(l) + c])
        return Math.exp(dot / Math.sqrt(channels))
      })
      const total = exps.reduce((a, b) => a + b)
      for (const [l, e] of exps.entries()) {
        for (let c = 0; c < channels; c++) y[row + c] = Number(y[row + c]) + (e / total) * Number(v[at(l) + c])
      }
    }
  }
  return y
}

/** Seeded values in (−1, 1). */
function noise(/** @type {number} */ n, /** @type {number} */ seed) {
  let state = seed * 2654435761
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  })
}
