// Where every weight of a checkpoint lies: names, types, shapes and places in files, never the bytes themselves.
// Weights are read in pieces, straight to where they go.
import { type Fact, fail, invariant } from '../../ir/diagnostic.ts'
import { type Dtype, isFloat, isQuant } from '../../ir/type.ts'
import type { SourceFile } from './source-file.ts'

export interface WeightEntry {
  /** canonical short name, `blk.0.attn_q.weight` */
  readonly name: string
  /** the name in the file, for messages */
  readonly originalName: string
  readonly dtype: Dtype
  /** row-major, a matrix is [out, in] */
  readonly shape: readonly number[]
  /** path of the file that holds it */
  readonly file: string
  /** byte in that file where its data starts */
  readonly offset: number
  /** length of its data */
  readonly bytes: number
}

/** A tensor of a type that no kernel reads, such as I64 or F8_E4M3: known by name only, for messages. */
export interface UnusableWeight {
  readonly name: string
  readonly originalName: string
  /** as the file spells it */
  readonly dtype: string
  readonly file: string
}

export interface WeightIndex extends Iterable<WeightEntry> {
  /** number of usable weights */
  readonly size: number
  /** total bytes of usable weights */
  readonly bytes: number
  /** where they come from, for messages */
  readonly path: string
  get(name: string): WeightEntry | undefined
  unusable(name: string): UnusableWeight | undefined
  /** Fills `into` with the weight's bytes from `byteOffset` on; a Diagnostic if the file became shorter. */
  read(entry: WeightEntry, into: Uint8Array, byteOffset?: number): Promise<void>
  readSync(entry: WeightEntry, into: Uint8Array, byteOffset?: number): void
  /** The open file that holds it, and the byte where its data starts. */
  locate(entry: WeightEntry): { readonly file: SourceFile; readonly offset: number }
}

/** `files` are the open files by path; they stay owned by the caller. */
export function weightIndex(
  path: string,
  entries: readonly WeightEntry[],
  unusable: readonly UnusableWeight[],
  files: ReadonlyMap<string, SourceFile>,
): WeightIndex {
  const byName = new Map<string, WeightEntry>()
  for (const entry of entries) {
    const other = byName.get(entry.name)
    if (other) {
      fail({
        code: 'duplicate-weight',
        message: 'two tensors stand for the same weight',
        facts: [
          ['weight', entry.name],
          ['first', `${other.originalName} in ${other.file}`],
          ['second', `${entry.originalName} in ${entry.file}`],
        ],
      })
    }
    byName.set(entry.name, entry)
  }
  const unusableByName = new Map(unusable.map((weight) => [weight.name, weight]))

  const fileOf = (entry: WeightEntry): SourceFile => {
    const file = files.get(entry.file)
    invariant(file, `weight ${entry.name} is of another checkpoint`)
    return file
  }
  const place = (entry: WeightEntry, into: Uint8Array, byteOffset: number): SourceFile => {
    invariant(byteOffset >= 0 && byteOffset + into.length <= entry.bytes, `read beyond the end of weight ${entry.name}`)
    return fileOf(entry)
  }
  return {
    size: byName.size,
    bytes: entries.reduce((sum, entry) => sum + entry.bytes, 0),
    path,
    get: (name) => byName.get(name),
    unusable: (name) => unusableByName.get(name),
    read: async (entry, into, byteOffset = 0) => place(entry, into, byteOffset).read(into, entry.offset + byteOffset),
    readSync: (entry, into, byteOffset = 0) => place(entry, into, byteOffset).readSync(into, entry.offset + byteOffset),
    locate: (entry) => ({ file: fileOf(entry), offset: entry.offset }),
    [Symbol.iterator]: () => byName.values(),
  }
}

/**
 * What a weight may be stored as: `float` f32, f16, bf16; `matrix` these or a quantised format; or exactly one dtype.
 */
export type WeightKind = 'float' | 'matrix' | Dtype

interface WeightRole {
  readonly name: string
  readonly kind: WeightKind
  readonly shape: readonly number[]
}

/** The weight `name`, which must be there with this kind of type and this shape. */
export function requireWeight(
  weights: WeightIndex,
  name: string,
  kind: WeightKind,
  shape: readonly number[],
): WeightEntry {
  return requireWeights(weights, [{ name, kind, shape }])[0]!
}

/** All the weights a model needs, in the order asked for; the Diagnostic lists everything that is missing. */
export function requireWeights(weights: WeightIndex, roles: readonly WeightRole[]): WeightEntry[] {
  const missing = roles.filter(({ name }) => !weights.get(name) && !weights.unusable(name))
  if (missing.length)
    failMissing(
      weights,
      missing.map(({ name }) => name),
    )
  return roles.map(({ name, kind, shape }) => {
    const entry = weights.get(name)
    if (!entry) {
      const found = weights.unusable(name)!
      return fail({
        code: 'bad-weight',
        message: 'a weight is stored in a type that cannot be computed with',
        facts: [...whereIs(found), ['expected', expected(kind)], ['got', found.dtype]],
        help: 'convert the model to a supported type',
      })
    }
    const fits =
      kind === 'float'
        ? isFloat(entry.dtype)
        : kind === 'matrix'
          ? isFloat(entry.dtype) || isQuant(entry.dtype)
          : entry.dtype === kind
    if (!fits) {
      fail({
        code: 'bad-weight',
        message: 'a weight has the wrong type for its role',
        facts: [...whereIs(entry), ['expected', expected(kind)], ['got', entry.dtype]],
      })
    }
    if (entry.shape.length !== shape.length || entry.shape.some((dim, i) => dim !== shape[i])) {
      fail({
        code: 'bad-weight',
        message: 'a weight has the wrong shape for its role',
        facts: [...whereIs(entry), ['expected', `[${shape.join(', ')}]`], ['got', `[${entry.shape.join(', ')}]`]],
        help: 'the configuration and the weights are of different models, or one of them is damaged',
      })
    }
    return entry
  })
}

export function failMissing(weights: WeightIndex, names: readonly string[]): never {
  const shown = names.slice(0, 12)
  const more = names.length - shown.length
  return fail({
    code: 'missing-weight',
    message:
      names.length === 1 ? 'a weight of the model is missing' : `${names.length} weights of the model are missing`,
    facts: [
      ['in', `${weights.path} (${weights.size} weights)`],
      ['missing', shown.join('\n') + (more ? `\nand ${more} more` : '')],
      ['there', someOf([...weights].map(({ originalName }) => originalName))],
    ],
    help: 'the download may be incomplete, or the configuration is that of another model',
  })
}

/** The first few of what there is: a prefix or another way of naming shows. */
const someOf = (names: readonly string[]): string =>
  names.length ? `${names.slice(0, 4).join(', ')}${names.length > 4 ? ', …' : ''}` : 'nothing'

const whereIs = (weight: WeightEntry | UnusableWeight): Fact[] => [
  ['weight', weight.name === weight.originalName ? weight.name : `${weight.name} (${weight.originalName})`],
  ['file', weight.file],
]

const expected = (kind: WeightKind): string =>
  kind === 'float' ? 'f32, f16 or bf16' : kind === 'matrix' ? 'f32, f16, bf16 or a quantised type' : kind
