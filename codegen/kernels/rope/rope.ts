// Rotary embedding, alone and with the append of keys and values to the cache.
import { staticDim } from '../../../ir/op.ts'
import type { RopeAttrs } from '../../../ir/ops/attributes.ts'
import { rope, ropeKvAppend } from '../../../ir/ops/index.ts'
import type { Target } from '../../../ir/target.ts'
import { ceilDiv, type Extent, plus, times } from '../../extent.ts'
import { type Defines, defineKernel, type Params, type Site } from '../../kernel.ts'
import { blockSpace, isFastHost } from '../block-space.ts'
import {
  bytesOf,
  cacheElement,
  elementType,
  placeDefines,
  rowAlignment,
  rowsOf,
  servesRows,
  typeAt,
} from '../layout.ts'

/** What angles.h needs; the ratio is text so that it stays f64. */
export function angleDefines(site: Site): Defines {
  const { theta, dims, style, magnitude } = site.attrs as RopeAttrs
  return {
    P_DIMS: dims,
    P_ANGLE_RATIO: (theta ** (-2 / dims)).toPrecision(17),
    P_INTERLEAVED: style === 'interleaved' ? 1 : 0,
    P_FACTORS: site.types.factors ? 1 : 0,
    ...(magnitude === undefined ? {} : { P_MAGNITUDE: `${magnitude.toExponential(9)}f` }),
  }
}

/** Heads of a block: on GPUs few, so that one token fills more than one compute unit; on the host all. */
const space = (target: Target, heads: number) => ({
  P_BLOCK: blockSpace(target, [128, 64, 256]),
  P_TILE_HEADS: isFastHost(target) ? [heads] : [Math.min(8, heads), Math.min(4, heads), Math.min(16, heads)],
})

const launch = (params: Params, T: Extent, heads: number) => ({
  grid: times(T, ceilDiv(heads, params.P_TILE_HEADS!)),
  block: params.P_BLOCK!,
})

export const ropeKernel = defineKernel({
  implements: rope,
  template: 'rope/rope.hip',
  args: ['y', 'x', 'positions', 'factors', 'T'],
  strided: ['x'],
  serves: (site) => servesRows(site, ['x']),
  fixed: (site, target) => {
    const [heads, channels] = [staticDim(typeAt(site, 'x'), 1), staticDim(typeAt(site, 'x'), 2)]
    const place = rowsOf(site, 'x')
    return {
      ...angleDefines(site),
      P_HEADS: heads,
      P_HEAD_DIM: channels,
      P_ALIGN: rowAlignment(target, channels, place.stride, place.offset),
      P_X: elementType(typeAt(site, 'x').dtype),
      P_Y: elementType(typeAt(site, 'y').dtype),
      ...placeDefines('x', place),
    }
  },
  space: (target, site) => space(target, staticDim(typeAt(site, 'x'), 1)),
  scalars: ({ types }) => ({ T: types.x!.shape[0]! }),
  launch: (params, site) => launch(params, typeAt(site, 'x').shape[0]!, staticDim(typeAt(site, 'x'), 1)),
  cost: ({ types }) => ({ bytes: plus(bytesOf(types.x!), bytesOf(types.y!)), flops: times(3, ...types.x!.shape) }),
  tolerance: () => 4,
})

const heads = (site: Site) => ({
  q: staticDim(typeAt(site, 'q'), 1),
  kv: staticDim(typeAt(site, 'k_cache'), 1),
  channels: staticDim(typeAt(site, 'k_cache'), 3),
})
const allHeads = (site: Site) => heads(site).q + 2 * heads(site).kv

export const ropeKvAppendKernel = defineKernel({
  implements: ropeKvAppend,
  template: 'rope/rope_kv_append.hip',
  args: ['q_out', 'q', 'k', 'v', 'k_cache', 'v_cache', 'positions', 'seq', 'page_table', 'factors', 'T', 'M'],
  strided: ['q', 'k', 'v'],
  serves: (site) =>
    typeAt(site, 'k_cache').dtype === typeAt(site, 'v_cache').dtype
      ? servesRows(site, ['q', 'k', 'v'])
      : 'keys and values are cached in different dtypes',
  fixed: (site, target) => {
    const { q, kv, channels } = heads(site)
    const places = { q: rowsOf(site, 'q'), k: rowsOf(site, 'k'), v: rowsOf(site, 'v') }
    const numbers = Object.values(places).flatMap(({ stride, offset }) => [stride, offset])
    return {
      ...angleDefines(site),
      P_HEADS: q,
      P_KV_HEADS: kv,
      P_HEAD_DIM: channels,
      P_PAGE: staticDim(typeAt(site, 'k_cache'), 2),
      P_ALIGN: rowAlignment(target, channels, ...numbers),
      P_Q: elementType(typeAt(site, 'q').dtype),
      P_K: elementType(typeAt(site, 'k').dtype),
      P_V: elementType(typeAt(site, 'v').dtype),
      P_Y: elementType(typeAt(site, 'q_out').dtype),
      P_KV: cacheElement(typeAt(site, 'k_cache').dtype),
      ...placeDefines('q', places.q),
      ...placeDefines('k', places.k),
      ...placeDefines('v', places.v),
    }
  },
  space: (target, site) => space(target, allHeads(site)),
  scalars: ({ types }) => ({ T: types.q!.shape[0]!, M: types.page_table!.shape[1]! }),
  launch: (params, site) => launch(params, typeAt(site, 'q').shape[0]!, allHeads(site)),
  cost: ({ types }) => {
    const inputs = plus(bytesOf(types.q!), plus(bytesOf(types.k!), bytesOf(types.v!)))
    return { bytes: times(2, inputs), flops: times(3, plus(times(...types.q!.shape), times(...types.k!.shape))) }
  },
  tolerance: () => 4,
})
