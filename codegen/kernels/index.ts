// Every kernel the compiler may choose, per op in order of preference.
import type { KernelSpec } from '../kernel.ts'
import { attentionDecodeKernel, attentionSplitKernel, ropeAttentionKernel } from './attention-decode.ts'
import { attentionPrefillKernel } from './attention-prefill.ts'
import { pvMatmulKernel, qkMatmulKernel } from './attention-products.ts'
import { kvAppendKernel, kvReadKernel } from './cache.ts'
import { contiguousKernel, embedAppendKernel, embedKernel, gatherRowsKernel } from './copy.ts'
import { binaryKernels, causalMaskKernel, incrementKernel, swigluKernel, unaryKernels } from './elementwise.ts'
import { matmulKernels } from './matmul.ts'
import { addRmsNormKernel, layerNormKernel, rmsNormKernel } from './norm.ts'
import { publishKernel } from './publish.ts'
import { ropeKernel, ropeKvAppendKernel } from './rope.ts'
import {
  argmaxKernel,
  frequencyPenaltyKernel,
  logitBiasKernel,
  penalisedPublishKernel,
  penalisedSampleKernel,
  repeatPenaltyKernel,
  sampleKernel,
  topkKernel,
} from './sample.ts'
import { scaleMaskSoftmaxKernel, softmaxKernel } from './softmax.ts'

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
