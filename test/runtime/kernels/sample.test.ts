import { testKernels } from '../kernel-harness.ts'
import { sampleCases } from './sample-cases.ts'

testKernels('sampling', sampleCases, {
  shippedEach: 3,
  sanitized: [
    'sample all',
    'topk f32 k=40 V=1003',
    'repeat_penalty f16 window 5',
    'penalised_sample V=1200 all {"temperature":1.2,"top_k":30,"top_p":0.95}',
  ],
})
