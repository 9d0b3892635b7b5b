import { testKernels } from '../kernel-harness.ts'
import { cacheCases } from './cache-cases.ts'

testKernels('cache and rope', cacheCases, {
  sanitized: ['rope_kv_append merged', 'kv_append bf16→bf16 C=5 page=4', 'kv_read L=14'],
})
