// The ops that passes make.

export { addRmsNorm } from './add-rms-norm.ts'
export { attention } from './attention.ts'
export { matmulAdd } from './matmul-add.ts'
export { matmulSwiglu } from './matmul-swiglu.ts'
export { penalisedSample } from './penalised-sample.ts'
export { rmsNormMatmul } from './rms-norm-matmul.ts'
export { rmsNormMatmulSwiglu } from './rms-norm-matmul-swiglu.ts'
export { ropeAttention } from './rope-attention.ts'
export { ropeKvAppend } from './rope-kv-append.ts'
export { scaleMaskSoftmax } from './scale-mask-softmax.ts'
export { swiglu } from './swiglu.ts'
