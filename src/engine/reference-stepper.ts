// Steps on the reference executor: slow, exact, needs neither GPU nor compiler.
import type { Graph } from '../../ir/graph.ts'
import { type HostTensor, hostTensor } from '../../ir/host-tensor.ts'
import { executeReference } from '../../ir/reference.ts'
import { bindShape, product, type TensorType } from '../../ir/type.ts'
import type { StepKind } from './programs.ts'
import { samplerInputs } from './sampler-inputs.ts'
import type { BatchDecoding, Decoding, StepInput, Stepper } from './stepper.ts'

interface ReferenceStepperParts {
  readonly graph: (kind: StepKind) => Graph
  readonly weight: (name: string, type: TensorType) => HostTensor
  readonly chunk: number
  readonly pageSize: number
  readonly pages: number
  readonly maxBatch: number
}

export class ReferenceStepper implements Stepper {
  readonly chunk: number
  readonly pageSize: number
  readonly pages: number
  readonly maxBatch: number
  readonly #parts: ReferenceStepperParts
  readonly #states = new Map<string, HostTensor>()

  constructor(parts: ReferenceStepperParts) {
    this.#parts = parts
    this.chunk = parts.chunk
    this.pageSize = parts.pageSize
    this.pages = parts.pages
    this.maxBatch = parts.maxBatch
  }

  async prefill(step: StepInput): Promise<void> {
    await this.#run(this.#parts.graph('prefill'), step)
  }

  async sample(step: StepInput): Promise<number> {
    return (await this.#run(this.#parts.graph('sample'), step)).token!.data[0]!
  }

  async logits(step: StepInput): Promise<Float32Array> {
    return (await this.#run(this.#parts.graph('sample'), step)).logits!.data as Float32Array
  }

  async allLogits(step: StepInput): Promise<Float32Array> {
    return (await this.#run(this.#parts.graph('score'), step)).logits!.data as Float32Array
  }

  decode(step: StepInput): Decoding {
    let [token, position] = [step.tokens[0]!, step.position]
    return {
      stopped: false,
      next: async () => {
        token = await this.sample({ ...step, tokens: [token], position: position++ })
        return token
      },
      stop: async () => {},
    }
  }

  decodeBatch(steps: readonly StepInput[]): BatchDecoding {
    const decodings = steps.map((step) => this.decode(step))
    return {
      stopped: false,
      next: async () => {
        const tokens: number[] = []
        for (const decoding of decodings) tokens.push(await decoding.next())
        return tokens
      },
      finish: async () => [],
      stop: async () => {},
    }
  }

  async #run(graph: Graph, step: StepInput): Promise<Record<string, HostTensor>> {
    await new Promise((resolve) => setImmediate(resolve)) // a step takes long: let the event loop turn between two
    const { tokens, position, pages, sampler } = step
    const per = (dtype: 'f32' | 'i32' | 'u32', value: number) => hostTensor(dtype, [1], [value])
    const given: Record<string, HostTensor> = {
      tokens: hostTensor('i32', [tokens.length], tokens),
      positions: hostTensor(
        'i32',
        [tokens.length],
        tokens.map((_, i) => position + i),
      ),
      seq: hostTensor(
        'i32',
        [tokens.length],
        tokens.map(() => 0),
      ),
      page_table: hostTensor('i32', [1, pages.length], pages),
      step: per('i32', 0),
      last: per('i32', tokens.length - 1),
    }
    const settings = samplerInputs([sampler])
    const inputs = Object.fromEntries(
      graph.inputs.map((id) => {
        const name = id.slice(1)
        const { state, dtype, shape } = graph.types[id]!
        if (state) return [name, this.#state(id, graph)]
        return [name, given[name] ?? hostTensor(dtype, bindShape(shape, {}), settings[name]!)]
      }),
    )
    return executeReference(graph, { inputs, weight: this.#parts.weight, bindings: { L: position + tokens.length } })
  }

  #state(id: string, graph: Graph): HostTensor {
    const known = this.#states.get(id)
    if (known) return known
    const { dtype, shape } = graph.types[id]!
    const dims = shape.map((dim) => (typeof dim === 'number' ? dim : this.pages))
    const made = hostTensor(dtype, dims, new Float32Array(product(dims)))
    this.#states.set(id, made)
    return made
  }

  [Symbol.dispose](): void {
    this.#states.clear()
  }
}
