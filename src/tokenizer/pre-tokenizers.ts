// How byte-level vocabularies cut text into words before merging, by the name that GGUF files give in
// `tokenizer.ggml.pre`. Each entry is a list of patterns: the text is cut at the matches of the first, what results at
// those of the next, and so on; text between matches stays a word. Patterns follow the models' tokenizer.json files,
// and the `default` entry llama.cpp, which defined it.
import { fail } from '../../ir/diagnostic.ts'
import { quoted } from '../../ir/visible-text.ts'
import { compilePattern, type Matcher } from './pattern/matcher.ts'
import { splitAll } from './split.ts'
import type { Steps } from './steps.ts'

interface Known {
  /** in Oniguruma's syntax, as in tokenizer.json */
  readonly patterns: readonly string[]
  /** a word that is a token as a whole is not merged (Llama 3) */
  readonly ignoreMerges?: boolean
  /** the model expects a beginning-of-sequence token where the file does not say */
  readonly addBos?: boolean
  /** Unicode normal form that the model's tokenizer.json applies first */
  readonly normalize?: 'NFC'
}

interface PreTokenizer extends Omit<Known, 'patterns'> {
  readonly patterns: readonly Matcher[]
}

const SPACES = String.raw`\s+(?!\S)|\s+`
const LINES = String.raw`\s*[\r\n]+|${SPACES}`
const CONTRACTIONS = `'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])`
const WORD = String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`
const MARKS = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*`
const UPPER = String.raw`\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}`
const LOWER = String.raw`\p{Ll}\p{Lm}\p{Lo}\p{M}`
const BEFORE = String.raw`[^\r\n\p{L}\p{N}]?`
const CAMEL = (tail: string) => `${BEFORE}[${UPPER}]*[${LOWER}]+${tail}|${BEFORE}[${UPPER}]+[${LOWER}]*${tail}`
const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|${SPACES}`
const CJK = '[一-龥ࠀ-一가-퟿]+'

const gpt2: Known = { patterns: [GPT2] }
const digitsThenGpt2: Known = { patterns: [String.raw`\p{N}`, GPT2] }
const llama3 = String.raw`${CONTRACTIONS}|${WORD}|\p{N}{1,3}|${MARKS}|${LINES}`
const llamaBpe: Known = { patterns: [llama3], ignoreMerges: true, addBos: true }
const qwen2: Known = {
  patterns: [String.raw`${CONTRACTIONS}|${WORD}|\p{N}|${MARKS}|${LINES}`],
  normalize: 'NFC',
}
const deepseekV3: Known = {
  patterns: [
    String.raw`\p{N}{1,3}`,
    '[一-龥぀-ゟ゠-ヿ]+',
    String.raw`[!-\/:-@\[-${'`'}\{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|${LINES}`,
  ],
}

const known: Readonly<Record<string, Known>> = {
  default: {
    patterns: [String.raw`[\p{P}$+<=>^~|]+`, GPT2, String.raw`\p{N}+`, '[0-9]{3}'],
  },
  'gpt-2': gpt2,
  mpt: gpt2,
  olmo: gpt2,
  jais: gpt2,
  trillion: gpt2,
  'phi-2': gpt2,
  'llama-bpe': llamaBpe,
  llama3: llamaBpe,
  'llama-v3': llamaBpe,
  falcon3: llamaBpe,
  pixtral: llamaBpe,
  dbrx: { patterns: [llama3] },
  'smaug-bpe': { patterns: [llama3] },
  qwen2,
  stablelm2: qwen2,
  'deepseek-r1-qwen': qwen2,
  megrez: qwen2,
  smollm: digitsThenGpt2,
  starcoder: digitsThenGpt2,
  refact: digitsThenGpt2,
  'command-r': digitsThenGpt2,
  codeshell: digitsThenGpt2,
  exaone: digitsThenGpt2,
  'minerva-7b': digitsThenGpt2,
  falcon: {
    patterns: [String.raw`[\p{P}$+<=>^~|${'`'}]+`, GPT2, '[0-9]{3}'],
  },
  'deepseek-llm': {
    patterns: [
      String.raw`[\r\n]`,
      String.raw`\s?[\p{Lu}\p{Ll}\p{Lt}]+`,
      String.raw`\s?[!-\/:-~！-／：-～‘-‟　-。]+`,
      String.raw`\s+$`,
      CJK,
      String.raw`\p{N}+`,
    ],
  },
  'deepseek-coder': {
    patterns: [String.raw`[\r\n]`, String.raw`\s?\p{L}+`, String.raw`\s?\p{P}+`, CJK, String.raw`\p{N}`],
  },
  'deepseek-v3': deepseekV3,
  'hunyuan-dense': deepseekV3,
  tekken: {
    patterns: [String.raw`${CAMEL('')}|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n\/]*|${LINES}`],
    ignoreMerges: true,
    addBos: true,
  },
  'gpt-4o': {
    patterns: [String.raw`${CAMEL(`(?:${CONTRACTIONS})?`)}|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n\/]*|${LINES}`],
  },
}

export const preTokenizerNames: readonly string[] = Object.keys(known)

/**
 * The pre-tokenizer called `name`, or `default` for a file that names none. An unknown one is an error, because a guess
 * would give other tokens silently.
 */
export function preTokenizer(name: string): PreTokenizer {
  const found = Object.hasOwn(known, name || 'default') ? known[name || 'default']! : unknownName(name)
  return { ...found, patterns: found.patterns.map((source) => compilePattern(source, 'tokenizer.ggml.pre')) }
}

const unknownName = (name: string): never =>
  fail({
    code: 'unknown-pre-tokenizer',
    message: `the file asks for the pre-tokenizer ${quoted(name)}, which is not known`,
    facts: [
      ['key', 'tokenizer.ggml.pre'],
      ['known', preTokenizerNames.join(', ')],
    ],
    help: 'load the model from its Hugging Face folder, whose tokenizer.json describes the pre-tokenizer in full',
  })

/** Cuts `text` into words. Their concatenation is the text. */
export function* splitWords(text: string, patterns: readonly Matcher[]): Steps<readonly string[]> {
  let words: readonly string[] = text === '' ? [] : [text]
  for (const pattern of patterns) words = yield* splitAll(words, pattern, 'Isolated', false)
  return words
}
