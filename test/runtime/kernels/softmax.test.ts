import { testKernels } from '../kernel-harness.ts'
import { softmaxCases } from './softmax-cases.ts'

testKernels('softmax', softmaxCases, { sanitized: ['scale_mask_softmax f16 L=41 window 6'] })
