// Files that people mistake for models, known by how they start: failed downloads, archives, other formats.
import { fail } from '../../ir/diagnostic.ts'
import type { SourceFile } from './source-file.ts'

/** How they start (white space and case aside), what they are, what to do. */
const formats: readonly (readonly [starts: readonly string[], what: string, help: string])[] = [
  [['version https://git-lfs'], 'a Git LFS pointer, not the file itself', 'fetch the file: git lfs pull'],
  [
    ['<!doctype', '<html', '<head', '<?xml'],
    'a web page, not a model',
    'download the file itself, not the page about it',
  ],
  [['pk\x03\x04'], 'a zip archive (perhaps a PyTorch checkpoint)', 'unpack it, or convert the weights to safetensors'],
  [['\x1f\x8b'], 'a gzip archive', 'unpack it first'],
  [['\x80\x02', '\x80\x04'], 'a Python pickle', 'convert the weights to safetensors'],
  [['fugg'], 'a big-endian GGUF file', 'convert the model for a little-endian machine'],
  [
    ['lmgg', 'tjgg', 'fmgg', 'algg'],
    'a file of a format older than GGUF',
    'convert the model again with a tool of today',
  ],
]

/** The first 64 bytes of a file, or fewer, as Latin-1. */
export function firstBytes(file: SourceFile): string {
  const bytes = Buffer.alloc(Math.min(64, file.size))
  file.readSync(bytes, 0)
  return bytes.toString('latin1')
}

/** Refuses a file that is plainly something else than a model, and says what. */
export function refuseForeignFormat(file: SourceFile): void {
  const start = firstBytes(file)
  if (start[8] === '{') return // safetensors: its first bytes are a length, and may look like anything
  const plain = start.trimStart().toLowerCase()
  const found = formats.find(([starts]) => starts.some((one) => plain.startsWith(one)))
  if (!found) return
  const [, what, help] = found
  fail({ code: 'not-a-checkpoint', message: `this is ${what}`, facts: [['file', file.path]], help })
}
