// @ts-check
// A fused op of one's own, the pass that finds it and the kernel that runs it (own-fused-op.hip), from this folder: compared
// with what it stands for by checkPasses and selfCheck, and measured beside it.
//
//   node examples/own-fused-op.mjs [device]
import {
  alike,
  blockSpace,
  ceilDiv,
  compileGraph,
  defineFusedOp,
  defineKernel,
  GraphBuilder,
  ops,
  rewritePass,
  sizeOf,
  tensor,
} from 'rocmforge'

const gatedResidual = defineFusedOp('gated_residual', {
  doc: 'y = sigmoid(gate) · x + residual, without storing what stands between',
  operands: { gate: 'f32[…]', x: 'f32[…]', residual: 'f32[…]' },
  traits: ['elementwise'],
  expand: ({ gate, x, residual }) => ops.add({ a: ops.mul({ a: ops.sigmoid({ x: gate }), b: x }), b: residual }),
})

/** add(mul(sigmoid(gate), x), residual)  ⇒  gated_residual(gate, x, residual) */
const fuseGatedResidual = rewritePass({
  name: 'fuse-gated-residual',
  doc: 'Saves two kernels, and two writes and reads of an activation.',
  numerics: 'exact', // all is f32
  root: 'add',
  rule({ in: { a: product, b: residual } }) {
    const { a: sigmoid, b: x } = product?.op === 'mul' && product.uses === 1 ? product.in : {}
    const gate = sigmoid?.op === 'sigmoid' && sigmoid.uses === 1 ? sigmoid.in['x'] : undefined
    if (!gate || !x || !residual || gate.type.dtype !== 'f32') return null
    return alike(gate, x) && alike(x, residual) ? gatedResidual({ gate, x, residual }) : null // nothing is repeated
  },
})

const gatedResidualKernel = defineKernel({
  implements: gatedResidual,
  template: new URL('own-fused-op.hip', import.meta.url),
  args: ['y', 'gate', 'x', 'residual', 'N'],
  scalars: ({ types: { y } }) => ({ N: sizeOf(y.shape) }),
  space: (target) => ({ P_BLOCK: blockSpace(target, [256, 128]), P_TILE: target.maxBlock === 1 ? [8192] : [2048] }),
  launch: ({ P_BLOCK, P_TILE }, { types: { y } }) => ({ grid: ceilDiv(sizeOf(y.shape), P_TILE), block: P_BLOCK }),
  tolerance: () => 4, // relative, in units of f32's eps
})

const [layers, B, D] = [48, 128, 4096]
const builder = new GraphBuilder('gated')
const input = (/** @type {string} */ name) => builder.input(name, tensor('f32', ['B', D]))
const [gate, residual, first] = [input('gate'), input('residual'), input('x')]
let x = first
for (let i = 0; i < layers; i++) x = ops.add({ a: ops.mul({ a: ops.sigmoid({ x: gate }), b: x }), b: residual })
builder.output('y', x)

const common = { device: process.argv[2] ?? 'auto', limits: { B } }
const own = { passes: [fuseGatedResidual], kernels: [gatedResidualKernel], checkPasses: true, selfCheck: true }
const parts = await compileGraph(builder.build(), common)
const fused = await compileGraph(builder.build(), { ...common, ...own })
const values = Float32Array.from({ length: B * D }, (_, i) => Math.sin(i))
const run = async (/** @type {typeof parts} */ graph) => {
  const start = performance.now()
  const { y } = await graph.run({ gate: values, residual: values, x: values })
  return { ms: performance.now() - start, y: y?.data ?? [] }
}
const [a, b] = [(await run(parts)).y, (await run(fused)).y]
let worst = 0
for (const i of a.keys()) worst = Math.max(worst, Math.abs(Number(a[i]) - Number(b[i])))
console.log(`${parts.graph.order.length} ops became ${fused.graph.order.length}; largest difference ${worst}`)
const best = { parts: Number.POSITIVE_INFINITY, fused: Number.POSITIVE_INFINITY } // ms, of runs in turns
for (let i = 0; i < 9; i++) {
  best.parts = Math.min(best.parts, (await run(parts)).ms)
  best.fused = Math.min(best.fused, (await run(fused)).ms)
}
console.log(`in turns, the parts took ${(best.parts / best.fused).toFixed(2)} times as long as the fused op`)
if (!(worst < 1e-5)) process.exitCode = 1
parts.dispose()
fused.dispose()
