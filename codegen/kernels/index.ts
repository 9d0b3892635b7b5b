// Every kernel the compiler may choose, per op in order of preference.
import type { KernelSpec } from '../kernel.ts'
import { attentionDecodeKernel, attentionSplitKernel, ropeAttentionKernel } from './attention/decode.ts'
import { attentionPrefillKernel } from './attention/prefill.ts'
import { attentionPrefillMatrixKernel } from './attention/prefill-matrix.ts'
import { pvMatmulKernel, qkMatmulKernel } from './attention/products.ts'
import { kvAppendKernel, kvReadKernel } from './cache/kv-cache.ts'
import { contiguousKernel, gatherRowsKernel } from './copy/copy.ts'
import {
  binaryKernels,
  causalMaskKernel,
  incrementKernel,
  swigluKernel,
  unaryKernels,
} from './elementwise/elementwise.ts'
import { embedAppendKernel, embedKernel } from './embed/embed.ts'
import { matmulKernels } from './matmul/matmul.ts'
import { addRmsNormKernel, layerNormKernel, rmsNormKernel } from './norm/norm.ts'
import { ropeKernel, ropeKvAppendKernel } from './rope/rope.ts'
import { publishKernel } from './sample/publish.ts'
import {
  argmaxKernel,
  frequencyPenaltyKernel,
  logitBiasKernel,
  penalisedPublishKernel,
  penalisedSampleKernel,
  repeatPenaltyKernel,
  sampleKernel,
  topkKernel,
} from './sample/sample.ts'
import { scaleMaskSoftmaxKernel, softmaxKernel } from './softmax/softmax.ts'

export const kernelSpecs: readonly KernelSpec[] = [
  ...matmulKernels,
  embedKernel,
  embedAppendKernel,
  rmsNormKernel,
  layerNormKernel,
  addRmsNormKernel,
  ropeKernel,
  ropeKvAppendKernel,
  kvAppendKernel,
  kvReadKernel,
  ropeAttentionKernel,
  attentionDecodeKernel,
  attentionSplitKernel,
  attentionPrefillMatrixKernel,
  attentionPrefillKernel,
  qkMatmulKernel,
  pvMatmulKernel,
  softmaxKernel,
  scaleMaskSoftmaxKernel,
  causalMaskKernel,
  ...unaryKernels,
  ...binaryKernels,
  swigluKernel,
  incrementKernel,
  gatherRowsKernel,
  contiguousKernel,
  argmaxKernel,
  topkKernel,
  repeatPenaltyKernel,
  frequencyPenaltyKernel,
  logitBiasKernel,
  sampleKernel,
  penalisedSampleKernel,
  penalisedPublishKernel,
  publishKernel,
]
