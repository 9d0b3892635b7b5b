// The public API of rocmforge.

export { GraphBuilder } from '../ir/builder.ts'
export { Diagnostic } from '../ir/diagnostic.ts'
export type { DiagnosticCode } from '../ir/diagnostic-codes.ts'
export type { Graph } from '../ir/graph.ts'
export type { HostTensor } from '../ir/host-tensor.ts'
export * as ops from '../ir/ops/model/index.ts'
export { parseGraph } from '../ir/parse.ts'
export { printGraph } from '../ir/print.ts'
export { type Dtype, state, type TensorType, tensor } from '../ir/type.ts'
export type { Value } from '../ir/value.ts'
export { type BuildOptions, type BuildReport, type BuildTarget, type BuiltProgram, build } from './api/build.ts'
export { type CompileEvents, compile } from './api/compile.ts'
export { type CompiledGraph, type CompileGraphOptions, compileGraph } from './api/compile-graph.ts'
export { type Device, openDevice } from './api/device.ts'
export {
  type FinishReason,
  type GeneratedPiece,
  Generation,
  type GenerationResult,
  type Timings,
} from './api/generation.ts'
export { Model, type Prompt } from './api/model.ts'
export type { ModelPlan } from './api/plan.ts'
export type { CompileOptions, GenerateOptions } from './options.ts'
export type { ChatMessage } from './tokenizer/chat-template.ts'
