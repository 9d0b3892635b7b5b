// A GGUF model that was split into several files (`NAME-00001-of-00003.gguf`): the first part has the metadata and stands for
// the model; each part says which it is, and holds some of the tensors.
import { basename, dirname, join } from 'node:path'
import { type Fact, fail } from '../../ir/diagnostic.ts'
import { type GgufHeader, readGgufHeader } from './gguf-header.ts'
import { ggufMetadata } from './gguf-metadata.ts'
import { isRegularFile, openSourceFile, type SourceFile } from './source-file.ts'

interface GgufPart {
  readonly file: SourceFile
  readonly header: GgufHeader
}

/** No model has more parts. */
const mostParts = 10_000

interface PartName {
  readonly prefix: string
  /** from 1 */
  readonly number: number
  readonly count: number
}

function partName(name: string): PartName | undefined {
  const found = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/.exec(name)
  return found ? { prefix: found[1]!, number: Number(found[2]), count: Number(found[3]) } : undefined
}

const nameOf = ({ prefix, count }: PartName, number: number): string =>
  `${prefix}-${String(number).padStart(5, '0')}-of-${String(count).padStart(5, '0')}.gguf`

/** The first part in a folder whose GGUF files are all parts of one model, by their names. */
export function firstOfOneModel(folder: string, names: readonly string[]): string | undefined {
  const parts = names.map(partName)
  const [one] = parts
  const isOne = parts.every((part) => part && part.prefix === one?.prefix && part.count === one.count)
  if (!one || !isOne) return undefined
  const first = nameOf(one, 1)
  if (names.includes(first)) return first
  return refuse(
    'the first part of the model is missing',
    [
      ['missing', join(folder, first)],
      ['there', names.slice(0, 8).join(', ')],
    ],
    'the download may be incomplete: all parts lie in one folder, under the names they were given',
  )
}

/** All parts of the model that `first` stands for, the first one first; those that are opened join `files`. */
export function openParts(first: SourceFile, files: SourceFile[]): GgufPart[] {
  const header = readGgufHeader(first)
  const split = splitOf(first, header)
  if (split.count <= 1) return [{ file: first, header }]
  const folder = dirname(first.path)
  const name = partName(basename(first.path))
  if (split.number !== 1)
    refuse(
      'the first part of a model in several files stands for it, this is another one',
      [
        ['file', first.path],
        ['key', `split.no = ${split.number - 1}, split.count = ${split.count}`],
      ],
      name ? `name the first part: ${join(folder, nameOf(name, 1))}` : 'name the file whose split.no is 0',
    )
  if (split.count > mostParts)
    refuse('no model has so many parts', [
      ['file', first.path],
      ['key', 'split.count'],
      ['expected', `at most ${mostParts}`],
      ['got', `${split.count}`],
    ])
  if (name?.number !== 1 || name.count !== split.count)
    return refuse(
      'the name of the first part does not tell those of the others',
      [
        ['file', first.path],
        ['expected', `a name that ends in -00001-of-${String(split.count).padStart(5, '0')}.gguf`],
      ],
      'rename the parts as they were when the model was split, or join them: llama-gguf-split --merge',
    )

  const paths = Array.from({ length: split.count }, (_, i) => join(folder, nameOf(name, i + 1)))
  const missing = paths.filter((path) => !isRegularFile(path))
  if (missing.length)
    refuse(
      missing.length === 1 ? 'a part of the model is missing' : `${missing.length} parts of the model are missing`,
      [
        ['missing', missing.slice(0, 8).join('\n') + (missing.length > 8 ? `\nand ${missing.length - 8} more` : '')],
        ['named by', `${first.path}, split.count = ${split.count}`],
      ],
      'the download may be incomplete: all parts lie in one folder, under the names they were given',
    )
  const parts = [{ file: first, header }]
  for (const [i, path] of paths.entries()) {
    if (i === 0) continue
    const file = openSourceFile(path)
    files.push(file)
    parts.push({ file, header: readPart(file, { ...split, number: i + 1 }, header) })
  }
  const tensors = parts.reduce((n, part) => n + part.header.tensors.length, 0)
  if (split.tensors !== undefined && split.tensors !== tensors)
    refuse('the parts of the model do not hold as many tensors as the first one says', [
      ['file', first.path],
      ['key', 'split.tensors.count'],
      ['expected', `${split.tensors} tensors`],
      ['got', `${tensors} in ${parts.length} parts`],
    ])
  return parts
}

interface Split {
  /** from 1 */
  readonly number: number
  readonly count: number
  /** of all parts */
  readonly tensors: number | undefined
}

function splitOf(file: SourceFile, header: GgufHeader): Split {
  const metadata = ggufMetadata(file.path, header.metadata)
  const number = (key: string) => {
    const found = metadata.number(key)
    return found === undefined ? undefined : Number(found)
  }
  return {
    number: (number('split.no') ?? 0) + 1,
    count: number('split.count') ?? 1,
    tensors: number('split.tensors.count'),
  }
}

/** The header of a part that must be this one, of the same model as the first. */
function readPart(file: SourceFile, expected: Split, first: GgufHeader): GgufHeader {
  const header = readGgufHeader(file)
  const got = splitOf(file, header)
  for (const [key, want, is] of [
    ['split.count', expected.count, got.count],
    ['split.no', expected.number - 1, got.number - 1],
    ['split.tensors.count', expected.tensors, got.tensors ?? expected.tensors],
  ] as const) {
    if (want !== is)
      refuse('a file is not the part that its name says', [
        ['file', file.path],
        ['key', key],
        ['expected', `${want}`],
        ['got', header.metadata.has(key) ? `${is}` : 'nothing'],
      ])
  }
  // a part repeats nothing of the model's description; where one does, it must be that of the same model
  for (const key of ['general.architecture', 'general.name']) {
    const [one, other] = [first.metadata.get(key)?.value, header.metadata.get(key)?.value]
    if (other !== undefined && one !== other)
      refuse('a part is of another model than the first', [
        ['file', file.path],
        ['key', key],
        ['expected', String(one)],
        ['got', String(other)],
      ])
  }
  return header
}

const mixed = 'the parts may be of different downloads or models, or were renamed: get them again'

function refuse(message: string, facts: readonly Fact[], help = mixed): never {
  return fail({ code: 'split-gguf', message, facts, help })
}
