// How kernels see the layout of quantised weights: the C++ type of a kernel's rows, and the kernel that brings rows into
// planes when weights are loaded.
import type { Target } from '../ir/target.ts'
import type { Dtype, TensorType } from '../ir/type.ts'
import { weightLayout } from '../ir/weight-layout.ts'
import type { KernelSource } from './program.ts'
import { targetDefines } from './target-defines.ts'

/** P_WEIGHT for rows of `K` elements: a struct of prelude/quant.h. */
export const weightStruct = (type: TensorType, K: number, target: Target): string =>
  weightLayout(type, target) === 'planes' ? `${type.dtype}_planes<${K}>` : `${type.dtype}_w`

/** Threads of its blocks. */
export const toPlanesBlock = (target: Target): number => (target.platform === 'host' ? target.wave : 256)

/** The kernel that turns rows of blocks into planes, for one format. */
export const toPlanesSource = (dtype: Dtype, target: Target): KernelSource => ({
  id: `to_planes ${dtype}`,
  template: 'memory/to_planes.hip',
  defines: { ...targetDefines(target), P_BLOCK: toPlanesBlock(target), P_FORMAT: `${dtype}_format` },
  entries: ['to_planes'],
})
