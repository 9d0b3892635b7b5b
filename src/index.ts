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
export { compile } from './api/compile.ts'
export { type CompiledGraph, type CompileGraphOptions, compileGraph } from './api/compile-graph.ts'
export { type Device, openDevice } from './api/device.ts'
export {
  type FinishReason,
  type GeneratedPiece,
  Generation,
  type GenerationResult,
  type Timings,
} from './api/generation.ts'
export { inspect, type ModelInfo } from './api/inspect.ts'
export { Model, type Prompt } from './api/model.ts'
export type { ModelPlan } from './api/plan.ts'
export type {
  ChatOptions,
  CompileEvents,
  CompileOptions,
  GenerateOptions,
  KernelOptions,
  LogitsOptions,
  SamplingOptions,
} from './option-types.ts'
export type { ChatMessage } from './tokenizer/chat-template.ts'

// ---- extending the compiler: ops, passes and kernels of your own ------------------------------------------------------

export { ceilDiv, type Extent, least, plus, times } from '../codegen/extent.ts'
export type { Defines, KernelSpec, Launch, Params, Site, Stage } from '../codegen/kernel.ts'
export type { OwnKernelDeclaration as KernelDeclaration, SiteOf } from '../codegen/kernel-declaration.ts'
export { blockSpace } from '../codegen/kernels/block-space.ts'
export { bytesOf, elementType, sizeOf } from '../codegen/kernels/layout.ts'
export { defineOwnKernel as defineKernel } from '../codegen/own-kernel.ts'
export { documentOp } from '../ir/document.ts'
export type { Attrs, AttrValue } from '../ir/graph.ts'
export { mapElements, mapRows, type ReferenceContext, size, storage } from '../ir/host-tensor.ts'
export {
  type AttrSchema,
  dimAt,
  expect as expectThat,
  expectDtype,
  expectFloat,
  expectIndices,
  expectRank,
  type FusedOp,
  type Op,
  type PlainOp,
  sameDim,
  staticDim,
  type Trait,
} from '../ir/op.ts'
export * as fusedOps from '../ir/ops/fused/index.ts'
export { defineOwnFusedOp as defineFusedOp, defineOwnOp as defineOp } from '../ir/own-op.ts'
export type { Target } from '../ir/target.ts'
export type { Bindings, Dim, DimSymbol } from '../ir/type.ts'
export { printChanges } from '../passes/changes.ts'
export type { OptLevel, Pass, PassRecord } from '../passes/pass.ts'
export type { OwnPasses } from '../passes/pipeline.ts'
export { alike, editPass, isLoaded, rewritePass } from '../passes/rewrite.ts'
export type { Rewriter } from '../passes/rewriter.ts'
