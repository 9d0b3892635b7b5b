// What a caller hands to a model, checked before anything runs: every Diagnostic says what was expected and what came.
import { fail } from '../../ir/diagnostic.ts'
import { shown } from '../../ir/shown.ts'

/** A prompt: text, or token ids as they are. */
export type Prompt = string | { readonly tokens: ArrayLike<number> }

/** Diagnostic `bad-argument`. */
export function checkPrompt(prompt: unknown): asserts prompt is Prompt {
  if (typeof prompt === 'string') return
  const help = "generate('Once upon a time'), or generate({ tokens: [1, 403] })"
  if (typeof prompt !== 'object' || prompt === null || !('tokens' in prompt))
    fail({
      code: 'bad-argument',
      message: `prompt is ${shown(prompt)}`,
      facts: [['expected', 'a text, or an object with tokens']],
      help: Array.isArray(prompt) && typeof prompt[0] === 'object' ? 'chat(messages) takes a conversation' : help,
    })
  checkTokenList(prompt.tokens, 'prompt.tokens')
}

/** An array of numbers; whether they are tokens of the vocabulary is checked where that is known. Diagnostic `bad-argument`. */
export function checkTokenList(tokens: unknown, name: string): asserts tokens is ArrayLike<number> {
  const isList = Array.isArray(tokens) || (ArrayBuffer.isView(tokens) && 'length' in tokens)
  if (!isList)
    fail({
      code: 'bad-argument',
      message: `${name} is ${shown(tokens)}`,
      facts: [['expected', 'token ids, an array of whole numbers']],
      help: '`model.tokenizer.encode(text)` gives the ids of a text',
    })
  const list = tokens as ArrayLike<unknown>
  for (let i = 0; i < list.length; i++) {
    if (typeof list[i] === 'number') continue
    fail({
      code: 'bad-argument',
      message: `${name}[${i}] is ${shown(list[i])}`,
      facts: [['expected', 'token ids, an array of whole numbers']],
      help: '`model.tokenizer.encode(text)` gives the ids of a text',
    })
  }
}

/** Refuses what JSON drops or makes something else of without a word; what has a `toJSON` is what that gives. */
function onlyPlain(key: string, value: unknown): unknown {
  const kind = Object.prototype.toString.call(value)
  const isPlain = value == null || Number.isFinite(value) || /^\[object (Array|Boolean|Object|String)]$/.test(kind)
  if (!isPlain) throw new TypeError(`${key} is ${shown(value)}`)
  return value
}

/** What a template gets is plain data: it is rendered in another process. Diagnostic `bad-argument`. */
export function checkPlain(values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) {
    try {
      // messages and tools are often objects with more in them than a template reads
      JSON.stringify(value, name === 'chatTemplateKwargs' ? onlyPlain : undefined)
    } catch (error) {
      fail(
        {
          code: 'bad-argument',
          message: `${name} must be plain data: ${(error as Error).message.split('\n')[0]}`,
          help: 'texts, numbers, true, false, null, arrays and objects of these',
        },
        error,
      )
    }
  }
}
