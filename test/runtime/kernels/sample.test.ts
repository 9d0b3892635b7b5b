import { testKernels } from '../kernel-harness.ts'
import { sampleCases } from './sample-cases.ts'

testKernels('sampling', sampleCases, {
  sanitized: ['sample all', 'topk f32 k=40 V=1003', 'repeat_penalty f16 window 5'],
})
