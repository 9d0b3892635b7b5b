// What a model's headers say, before anything of it is compiled or loaded.
import { fail } from '../../ir/diagnostic.ts'
import { shown } from '../../ir/shown.ts'
import type { Dtype } from '../../ir/type.ts'
import { at, callSite } from '../call-site.ts'
import type { GenerationDefaults } from '../loader/checkpoint.ts'
import { type Checkpoint, openCheckpoint } from '../loader/checkpoint.ts'
import { knownArchitectures } from '../models/index.ts'
import { chatTemplateIn } from '../tokenizer/source-template.ts'

export interface ModelInfo {
  /** as the caller gave it */
  readonly path: string
  readonly format: 'gguf' | 'safetensors'
  /** `llama`, `mistral`, `qwen2`, `qwen3` */
  readonly architecture: string
  readonly name: string
  readonly layers: number
  /** elements of a hidden row */
  readonly hidden: number
  /** tokens of the vocabulary */
  readonly vocabSize: number
  /** tokens that the model was made for */
  readonly contextLength: number
  /** dtype of most weights */
  readonly weightDtype: Dtype
  /** Jinja text that lays out conversations; undefined: the model was not made to chat */
  readonly chatTemplate: string | undefined
  /** what the model's authors would sample with */
  readonly generationDefaults: GenerationDefaults
}

export function describeModel({ path, format, config, tokenizer, generation }: Checkpoint): ModelInfo {
  const { architecture, name, layers, hidden, vocabSize, contextLength, weightDtype } = config
  return {
    ...{ path, format, architecture, name, layers, hidden, vocabSize, contextLength, weightDtype },
    chatTemplate: chatTemplateIn(tokenizer),
    generationDefaults: generation,
  }
}

/**
 * Reads the headers of a Hugging Face folder or a GGUF file. Errors: those of the file.
 * @example if (!(await inspect('models/story-3m')).chatTemplate) console.log('a plain prompt, then')
 */
export function inspect(path: string): Promise<ModelInfo> {
  return at(callSite(inspect), async () => {
    checkPath(path)
    await using checkpoint = await openCheckpoint(path, { architectures: knownArchitectures })
    return describeModel(checkpoint)
  })
}

/** Diagnostic `bad-argument`. */
export function checkPath(path: unknown): asserts path is string {
  if (typeof path === 'string' && path !== '') return
  fail({
    code: 'bad-argument',
    message: `path is ${path === '' ? 'empty' : shown(path)}`,
    facts: [['expected', 'the path of a Hugging Face folder or of a .gguf file, a text']],
    help: path instanceof URL ? "fileURLToPath(url), of 'node:url', gives its path" : "compile('models/story-3m')",
  })
}
