// The weights of a Hugging Face folder: one safetensors file, or the shards that model.safetensors.index.json lists.
import { join } from 'node:path'
import { fail } from '../../ir/diagnostic.ts'
import { readSafetensorsHeader, type StoredTensor } from './safetensors-header.ts'
import { isRegularFile, namesIn, openSourceFile, readSmallFile, type SourceFile } from './source-file.ts'
import { parseJsonObject } from './strict-json.ts'
import { type UnusableWeight, type WeightEntry, type WeightIndex, weightIndex } from './weight-index.ts'
import { basePrefix, canonicalName, withUsualPrefix } from './weight-names.ts'

const indexName = 'model.safetensors.index.json'
const indexBytes = 64 * 2 ** 20

/**
 * `only`: the one file to read; without it, what the folder holds. The caller closes `files`, also after a failure; what was
 * odd joins `notes`.
 */
export function openSafetensors(
  folder: string,
  only: string | undefined,
  files: SourceFile[],
  notes: string[] = [],
): WeightIndex {
  const single = only ?? singleFile(folder)
  if (single !== undefined) return indexOf(single, readShards([[single, undefined]], files), notes)
  const index = join(folder, indexName)
  return indexOf(folder, readShards(shardsOf(folder, index), files, index), notes)
}

/** The file that holds all weights, or undefined where an index lists several. */
function singleFile(folder: string): string | undefined {
  const usual = join(folder, 'model.safetensors')
  if (isRegularFile(usual)) return usual
  if (isRegularFile(join(folder, indexName))) return undefined
  const files = namesIn(folder)
  const candidates = files.filter((name) => name.endsWith('.safetensors'))
  if (candidates.length === 1) return join(folder, candidates[0]!)
  const others = files.filter((name) => /\.(bin|pt|pth|ckpt|h5|msgpack|onnx)$/.test(name))
  return fail({
    code: 'not-a-checkpoint',
    message: 'the folder has no weights that can be read',
    facts: [
      ['folder', folder],
      ['expected', `model.safetensors, or ${indexName} and its shards`],
      ['got', [...candidates, ...others].slice(0, 8).join(', ') || 'no file of weights'],
    ],
    help: others.length ? 'convert the weights to safetensors' : 'download the weights as well',
  })
}

/** Shard path → the tensors that the index expects in it. */
function shardsOf(folder: string, index: string): [string, Set<string>][] {
  const json = parseJsonObject(readSmallFile(index, indexBytes), {
    code: 'bad-safetensors-index',
    file: index,
    mode: 'strict',
  })
  const { weight_map: map } = json
  const wrong = (key: string, expected: string, got: unknown): never =>
    fail({
      code: 'bad-safetensors-index',
      message: 'the index of the shards has an impossible value',
      facts: [
        ['file', index],
        ['key', key],
        ['expected', expected],
        ['got', JSON.stringify(got)?.slice(0, 200) ?? 'nothing'],
      ],
    })
  if (map === null || typeof map !== 'object' || Array.isArray(map)) return wrong('weight_map', 'an object', map)
  const shards = new Map<string, Set<string>>()
  for (const [tensor, shard] of Object.entries(map)) {
    const stays = typeof shard === 'string' && shard.endsWith('.safetensors') && !/[/\\\0]/.test(shard)
    if (!stays) return wrong(`weight_map, ${tensor}`, 'the name of a .safetensors file of this folder', shard)
    const path = join(folder, shard)
    const expected = shards.get(path) ?? new Set()
    shards.set(path, expected.add(tensor))
  }
  if (shards.size === 0 || shards.size > 10_000) return wrong('weight_map', '1 to 10000 shards', shards.size)
  for (const [path, expected] of shards) {
    if (isRegularFile(path)) continue
    fail({
      code: 'missing-shard',
      message: 'a file of weights is missing',
      facts: [
        ['file', path],
        ['named in', index],
        ['holds', `${expected.size} tensors, among them ${[...expected][0]}`],
      ],
      help: 'the download may be incomplete',
    })
  }
  return [...shards]
}

interface FoundWeights {
  readonly tensors: readonly (StoredTensor & { readonly file: string })[]
  readonly files: ReadonlyMap<string, SourceFile>
}

function readShards(
  shards: readonly [string, Set<string> | undefined][],
  files: SourceFile[],
  index = '',
): FoundWeights {
  const all: (StoredTensor & { file: string })[] = []
  const byPath = new Map<string, SourceFile>()
  for (const [path, expected] of shards) {
    const file = openSourceFile(path)
    files.push(file)
    byPath.set(path, file)
    const tensors = readSafetensorsHeader(file)
    const found = new Set(tensors.map(({ name }) => name))
    for (const name of expected ?? []) {
      if (found.has(name)) continue
      fail({
        code: 'bad-safetensors-index',
        message: 'a shard lacks a tensor that the index expects in it',
        facts: [
          ['file', path],
          ['named in', index],
          ['tensor', name],
          ['expected', `${name} among its tensors`],
          ['got', `${found.size} others`],
        ],
        help: 'the shards are of different downloads, or two of them were swapped',
      })
    }
    for (const tensor of tensors) {
      if (!expected || expected.has(tensor.name)) all.push({ ...tensor, file: path })
    }
  }
  return { tensors: all, files: byPath }
}

function indexOf(path: string, { tensors, files }: FoundWeights, notes: string[]): WeightIndex {
  const prefix = basePrefix(tensors.map(({ name }) => name)) ?? 'model.'
  if (prefix !== 'model.' && prefix !== '')
    notes.push(`the names of the weights begin with ${prefix}: they are taken for those of the model`)
  const entries: WeightEntry[] = []
  const unusable: UnusableWeight[] = []
  for (const { name: originalName, dtype, storedAs, shape, offset, bytes, file } of tensors) {
    const name = canonicalName(withUsualPrefix(originalName, prefix))
    if (dtype) entries.push({ name, originalName, dtype, shape, file, offset, bytes })
    else unusable.push({ name, originalName, dtype: storedAs, file })
  }
  return weightIndex(path, entries, unusable, files)
}
