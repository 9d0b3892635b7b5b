// @ts-check
// An own model: a two-layer perceptron built from ops, fused, compiled and run with typed arrays, and checked against
// plain JavaScript.
//
//   node examples/mlp.mjs [device]
import { compileGraph, GraphBuilder, ops, printGraph, tensor } from 'rocmforge'

const [device = 'auto'] = process.argv.slice(2)
const [inputs, hidden, outputs] = [16, 64, 4]

const graph = new GraphBuilder('mlp')
const x = graph.input('x', tensor('f32', ['T', inputs])) // T: as many rows as a run brings
const weight = (/** @type {string} */ name, /** @type {number[]} */ shape) => graph.weight(name, 'f32', shape)
const h = ops.gelu({ x: ops.matmul({ x, w: weight('w1', [hidden, inputs]), bias: weight('b1', [hidden]) }) })
const y = ops.softmax({ x: ops.matmul({ x: h, w: weight('w2', [outputs, hidden]), bias: weight('b2', [outputs]) }) })
graph.output('y', y)

const weights = {
  w1: noise(hidden * inputs, 1),
  b1: noise(hidden, 2),
  w2: noise(outputs * hidden, 3),
  b2: noise(outputs, 4),
}
const mlp = await compileGraph(graph.build(), { device, weights, limits: { T: 32 } })
try {
  console.log(printGraph(mlp.graph))
  const rows = 3
  const data = noise(rows * inputs, 5)
  const result = await mlp.run({ x: data })
  const got = /** @type {import('rocmforge').HostTensor} */ (result['y'])
  console.log(`y = f32[${got.shape}]`, [...got.data].map((v) => v.toFixed(4)).join(' '))

  const worst = Math.max(...plain(data, rows).map((v, i) => Math.abs(v - Number(got.data[i]))))
  console.log(`largest difference to plain JavaScript: ${worst.toExponential(1)}`)
  if (!(worst < 1e-5)) process.exitCode = 1
} finally {
  mlp.dispose()
}

/** The same in plain JavaScript, in f64. */
function plain(/** @type {Float32Array} */ data, /** @type {number} */ rows) {
  return Array.from({ length: rows }, (_, t) => {
    const row = [...data.subarray(t * inputs, (t + 1) * inputs)]
    const logits = linear(linear(row, weights.w1, weights.b1).map(gelu), weights.w2, weights.b2)
    const exp = logits.map((v) => Math.exp(v - Math.max(...logits)))
    return exp.map((v) => v / exp.reduce((a, b) => a + b))
  }).flat()
}

function linear(/** @type {number[]} */ row, /** @type {Float32Array} */ w, /** @type {Float32Array} */ bias) {
  return Array.from(bias, (b, n) => row.reduce((sum, v, k) => sum + v * Number(w[n * row.length + k]), b))
}

/** v · Φ(v); erf as its Taylor series, which is exact enough for the small values here. */
function gelu(/** @type {number} */ v) {
  const z = v / Math.SQRT2
  let [term, sum] = [z, z]
  for (let n = 1; n < 60; n++) {
    term *= (-z * z) / n
    sum += term / (2 * n + 1)
  }
  return (v / 2) * (1 + (2 / Math.sqrt(Math.PI)) * sum)
}

/** Seeded values in (−0.5, 0.5). */
function noise(/** @type {number} */ n, /** @type {number} */ seed) {
  let state = seed * 2654435761
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32 - 0.5
  })
}
