// What a consumer writes, as an ES module: every exported function and class, and each option once.
import {
  build,
  type ChatMessage,
  type CompileOptions,
  compile,
  compileGraph,
  Diagnostic,
  type DiagnosticCode,
  defineFusedOp,
  type GenerateOptions,
  type GenerationResult,
  GraphBuilder,
  type Model,
  openDevice,
  ops,
  parseGraph,
  printGraph,
  rewritePass,
  type StepKind,
  type Tokenizer,
  tensor,
} from 'rocmforge'

const options: CompileOptions = {
  device: 'host',
  context: 64,
  kvDtype: 'f16',
  onKernels: ({ done, total }) => done / total,
  onDevice: (device) => device.name,
  onPass: (kind: StepKind, { pass }) => `${kind} ${pass}`,
}

export async function story(path: string, signal: AbortSignal): Promise<GenerationResult> {
  const model: Model = await compile(path, options)
  try {
    const tokenizer: Tokenizer = model.tokenizer
    const prompt = { tokens: tokenizer.encode('Once', { addBos: true }) }
    const sampling: GenerateOptions = { maxTokens: 3, temperature: 0.5, stop: ['.'], logitBias: { 3: -1 }, signal }
    const generation = model.generate(prompt, sampling)
    for await (const { id, text } of generation) if (id < 0) throw new Error(text)
    const messages: ChatMessage[] = [{ role: 'user', content: 'Hello' }]
    await model.chat(messages, { maxTokens: 1 }).text()
    const logits: Float32Array = await model.logits([1, 2], { all: true })
    if (logits.length !== 2 * model.config.vocabSize) throw new Error(model.graph.print({ kind: 'decode' }))
    return await generation.result()
  } catch (error) {
    if (error instanceof Diagnostic) {
      const code: DiagnosticCode = error.code
      if (code === 'context-full') throw new Error(error.facts.map(([label, text]) => label + text).join())
    }
    throw error
  } finally {
    await model.dispose()
  }
}

/** Leaves its blocks by `using`. */
export async function disposed(path: string): Promise<void> {
  await using model = await compile(path)
  using device = await openDevice('host')
  await using graph = await compileGraph(perceptron(), {
    device,
    weights: { w: new Float32Array(16) },
    limits: { B: 4 },
  })
  const { y } = await graph.run({ x: new Float32Array(8) }, { B: 2 })
  y satisfies { readonly shape: readonly number[] } | undefined
  model.path satisfies string
}

export function perceptron() {
  const graph = new GraphBuilder('perceptron')
  const x = graph.input('x', tensor('f32', ['B', 4]))
  const h = ops.rmsNorm({ x, w: graph.weight('n', 'f32', [4]) }, { eps: 1e-5 }, 'norm')
  graph.output('y', ops.gelu({ x: ops.matmul({ x: h, w: graph.weight('w', 'f32', [4, 4]) }) }))
  // @ts-expect-error: the type of an attribute is known
  if (x.uses < 0) ops.rmsNorm({ x, w: x }, { eps: 'small' })
  return parseGraph(printGraph(graph.build()))
}

export const scaledAdd = defineFusedOp('scaled_add', {
  doc: 'y[t,d] = 2 · a[t,d] + b[t,d]',
  operands: { a: 'float[T, D]', b: 'float[T, D]' },
  expand: ({ a, b }) => ops.add({ a: ops.scale({ x: a }, { by: 2 }), b }),
})
export const pass = rewritePass({
  name: 'fuse-scaled-add',
  doc: 'Saves one write and one read.',
  numerics: 'rounding',
  root: 'add',
  rule: (node) => {
    const { a, b } = node.in
    return a?.op === 'scale' && a.uses === 1 && b ? scaledAdd({ a: a.in['x']!, b }) : null
  },
})

export const kernels = (path: string) => build(path, { targets: ['gfx942'], onKernels: ({ label }) => label })

// @ts-expect-error: options are known by name
compile('model', { contxt: 3 }) satisfies Promise<Model>
// @ts-expect-error: a model is made by `compile`
export const none = () => new (null as unknown as typeof Model)({})
