import { testKernels } from '../kernel-harness.ts'
import { attentionCases, productCases } from './attention-cases.ts'

testKernels('attention', attentionCases, {
  sanitized: ['decode groups of 8, C 80, window', 'split groups of 2, C 64, f16', 'prefill three requests'],
})
testKernels('attention products', productCases, { sanitized: ['qk_matmul odd', 'pv_matmul odd'] })
