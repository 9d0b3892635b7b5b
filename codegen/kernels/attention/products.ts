// The two products of attention by themselves, where it is not fused.
import { staticDim } from '../../../ir/op.ts'
import { pvMatmul, qkMatmul } from '../../../ir/ops/index.ts'
import { ceilDiv, plus, times } from '../../extent.ts'
import { defineKernel, type Site } from '../../kernel.ts'
import { blockSpace, isFastHost } from '../block-space.ts'
import { alignmentOf, bytesOf, elementType, isWhole, sizeOf, typeAt } from '../layout.ts'

/** Query heads that share a head of k or v, seen through repeat_kv. */
const groupsOf = (site: Site, name: string): number => site.views[name]?.groups ?? 1

/** Heads may be shared; rows may have no gaps. */
function servesShared(site: Site, name: string): true | string {
  const view = site.views[name]
  if (!view || view.groups === 1) return isWhole(site, name) || `${name} must be contiguous`
  return view.offset === 0 || `${name} must start where its buffer starts`
}

export const qkMatmulKernel = defineKernel({
  implements: qkMatmul,
  template: 'attention/qk_matmul.hip',
  args: ['y', 'q', 'k', 'seq', 'T', 'L'],
  strided: ['k'],
  serves: (site) => servesShared(site, 'k'),
  fixed: (site) => {
    const [q, channels] = [typeAt(site, 'q'), staticDim(typeAt(site, 'q'), 2)]
    return {
      P_HEADS: staticDim(q, 1),
      P_GROUP: groupsOf(site, 'k'),
      P_HEAD_DIM: channels,
      P_ALIGN: alignmentOf(channels),
      P_Q: elementType(q.dtype),
      P_K: elementType(typeAt(site, 'k').dtype),
    }
  },
  space: (target) => ({ P_BLOCK: blockSpace(target, [128, 256, 64]), P_TILE: isFastHost(target) ? [256] : [64, 128] }),
  scalars: ({ types }) => ({ T: types.q!.shape[0]!, L: types.k!.shape[1]! }),
  launch: (params, { types }) => ({
    grid: times(...types.q!.shape.slice(0, 2), ceilDiv(types.k!.shape[1]!, params.P_TILE!)),
    block: params.P_BLOCK!,
  }),
  cost: ({ types }) => ({
    bytes: plus(bytesOf(types.q!), plus(bytesOf(types.k!), bytesOf(types.y!))),
    flops: times(2, ...types.y!.shape, types.q!.shape[2]!),
  }),
  tolerance: (site) => 2 * Math.sqrt(staticDim(typeAt(site, 'q'), 2)),
})

export const pvMatmulKernel = defineKernel({
  implements: pvMatmul,
  template: 'attention/pv_matmul.hip',
  args: ['y', 'p', 'v', 'seq', 'T', 'L'],
  strided: ['v'],
  serves: (site) => servesShared(site, 'v'),
  fixed: (site) => {
    const channels = staticDim(typeAt(site, 'v'), 3)
    return {
      P_HEADS: staticDim(typeAt(site, 'p'), 1),
      P_GROUP: groupsOf(site, 'v'),
      P_HEAD_DIM: channels,
      P_ALIGN: alignmentOf(channels),
      P_P: elementType(typeAt(site, 'p').dtype),
      P_V: elementType(typeAt(site, 'v').dtype),
      P_Y: elementType(typeAt(site, 'y').dtype),
    }
  },
  space: (target) => ({ P_BLOCK: blockSpace(target, [128, 256, 64]) }),
  scalars: ({ types }) => ({ T: types.p!.shape[0]!, L: types.p!.shape[2]! }),
  launch: ({ P_BLOCK }, { types }) => ({ grid: sizeOf(types.p!.shape.slice(0, 2)), block: P_BLOCK! }),
  cost: ({ types }) => ({
    bytes: plus(bytesOf(types.p!), plus(bytesOf(types.v!), bytesOf(types.y!))),
    flops: times(2, ...types.p!.shape, staticDim(types.v!, 3)),
  }),
  tolerance: ({ types }) => 2 * Math.sqrt(typeof types.p!.shape[2] === 'number' ? types.p!.shape[2] : 1024),
})
