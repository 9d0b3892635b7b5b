// Every op: model ops for front ends and scripts, fused ops for passes alone.
export * from './fused/index.ts'
export * from './model/index.ts'
