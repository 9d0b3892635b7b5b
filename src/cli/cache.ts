// rocmforge cache: what lies in the kernel cache, whether it is whole, and moving it.
import { findTarget } from '../../codegen/targets.ts'
import { targetId } from '../../ir/target.ts'
import { exportBundle, importBundle } from '../../runtime/cache/bundle.ts'
import { type CacheRow, openKernelCache, type VerifiedRow } from '../../runtime/cache/kernel-cache.ts'
import { checkOnDevices, type DeviceChecks } from '../api/self-check.ts'
import { bytesText, table, writeJson, writeLine } from './table.ts'

interface JsonFlag {
  readonly json?: boolean
}

const total = (rows: readonly CacheRow[]): number => rows.reduce((sum, { bytes }) => sum + bytes, 0)

/** `cache ls`: the writable cache, then those behind it. */
export function list({ json, target }: JsonFlag & { readonly target?: string }): void {
  const cache = openKernelCache()
  const folder = target && targetId(findTarget(target)).replaceAll(':', '.')
  const rows = cache.verify().filter((row) => !folder || row.folder === folder)
  if (json) {
    const { root, readOnly, maxBytes } = cache
    writeJson({ root, readOnly, maxBytes, entries: rows.map(asJson) })
    return
  }
  const lines = rows.map((row) =>
    'entry' in row
      ? [
          row.entry.parts.target,
          row.entry.kernels.join(' '),
          row.entry.label,
          row.key.slice(0, 12),
          bytesText(row.bytes),
          row.usedAt.toISOString().slice(0, 16).replace('T', ' '),
          row.writable ? '' : 'read-only',
          row.entry.selfCheck?.outcome ?? '',
        ]
      : [row.folder, '', '', row.key.slice(0, 12), bytesText(row.bytes), '', '', `damaged: ${row.damage}`],
  )
  if (lines.length > 0)
    writeLine(table(['target', 'kernels', 'template', 'key', 'size', 'last used (UTC)', '', 'check'], lines))
  writeLine(
    `${rows.length} kernels, ${bytesText(total(rows))} of at most ${bytesText(cache.maxBytes)} in ${cache.root}`,
  )
}

const asJson = (row: VerifiedRow) => {
  const { folder, key, path, bytes, writable, createdAt, usedAt } = row
  const file = { key, path, bytes, writable, createdAt, usedAt }
  if (!('entry' in row)) return { ...file, target: folder.replaceAll('.', ':'), damage: row.damage }
  const { parts, kernels, label, resources, selfCheck } = row.entry
  return { ...file, target: parts.target, compiler: parts.compiler, template: label, kernels, resources, selfCheck }
}

/** `cache verify`: every byte of every entry; exit code 1 when one is damaged. */
export function verify({ json, remove = false }: JsonFlag & { readonly remove?: boolean }): void {
  const cache = openKernelCache()
  const rows = cache.verify({ remove })
  const damaged = rows.flatMap((row) =>
    'damage' in row ? [{ path: row.path, damage: row.damage, removed: remove && row.writable }] : [],
  )
  if (json) writeJson({ root: cache.root, checked: rows.length, damaged })
  else {
    for (const { path, damage, removed } of damaged) writeLine(`${path}: ${damage}${removed ? ', removed' : ''}`)
    writeLine(`${rows.length - damaged.length} of ${rows.length} kernels are whole, in ${cache.root}`)
    if (damaged.length > 0 && !remove)
      writeLine('damaged ones are compiled again when they are wanted; --remove deletes them now')
  }
  if (damaged.some(({ removed }) => !removed)) process.exitCode = 1
}

/** `cache prune`: down to a size, what was used longest ago first. */
export function prune({ json, maxMib }: JsonFlag & { readonly maxMib?: number }): void {
  const cache = openKernelCache()
  const gone = cache.prune(maxMib === undefined ? undefined : maxMib * 2 ** 20)
  report(gone, cache.root, json)
}

/** `cache clear`: everything, one target, or what failed its self-check. */
export function clear({
  json,
  target,
  failed = false,
}: JsonFlag & { readonly target?: string; readonly failed?: boolean }): void {
  const cache = openKernelCache()
  const gone = cache.clear({ failed, ...(target === undefined ? {} : { target: targetId(findTarget(target)) }) })
  report(gone, cache.root, json)
}

function report({ removed, bytes }: { removed: number; bytes: number }, root: string, json: boolean | undefined): void {
  if (json) writeJson({ root, removed, bytes })
  else writeLine(`removed ${removed} kernels, ${bytesText(bytes)}, from ${root}`)
}

/** `cache export FILE` */
export function exportTo(path: string, { json, target }: JsonFlag & { readonly target?: string[] }): void {
  const targets = target?.flatMap((ids) => ids.split(',')).map((id) => targetId(findTarget(id.trim())))
  const bundle = exportBundle(openKernelCache(), path, targets ? { targets } : {})
  if (json) {
    writeJson({ path, ...bundle })
    return
  }
  for (const reason of bundle.skipped) writeLine(`left out: ${reason}`)
  writeLine(`${bundle.entries} kernels for ${bundle.targets.join(', ')}: ${bytesText(bundle.bytes)} in ${path}`)
}

/** `cache import FILE`: into the writable cache; then each kernel that a device here can run is checked on it. */
export async function importFrom(
  path: string,
  { json, selfCheck }: JsonFlag & { readonly selfCheck: boolean },
): Promise<void> {
  const cache = openKernelCache()
  const before = new Set(cache.list().map(({ key }) => key))
  const bundle = importBundle(cache, path)
  const fresh = new Set(cache.list().flatMap(({ key }) => (before.has(key) ? [] : [key])))
  const checks = selfCheck && fresh.size > 0 ? await checkOnDevices(cache, fresh) : []
  const failed = checks.flatMap(({ checked }) => checked.filter(({ outcome }) => outcome === 'failed'))
  if (json) writeJson({ path, root: cache.root, ...bundle, selfChecks: checks })
  else {
    for (const reason of bundle.skipped) writeLine(`left out: ${reason}`)
    writeLine(`${bundle.entries} kernels for ${bundle.targets.join(', ') || 'no target'} imported into ${cache.root}`)
    for (const line of checks.flatMap(describeChecks)) writeLine(line)
  }
  if (failed.length > 0) process.exitCode = 1
}

/** What a self-check found on one device, in lines. */
function describeChecks({ device, checked, left }: DeviceChecks): string[] {
  const count = (outcome: string) => checked.filter((kernel) => kernel.outcome === outcome).length
  const bad = checked.filter(({ outcome }) => outcome === 'failed')
  const more = [
    ...(count('skipped') > 0 ? [`${count('skipped')} could not be checked`] : []),
    ...(left > 0 ? [`${left} left for the next time`] : []),
  ]
  return [
    [
      `self-check on ${device}: ${count('passed')} of ${checked.length} kernels agree with their references`,
      ...more,
    ].join(', '),
    ...bad.map(({ key, kernel, detail }) => `  ${key ? `${key.slice(0, 12)} ` : ''}${kernel}: ${detail}`),
    ...(bad.length > 0 ? ['  rocmforge cache clear --failed removes them'] : []),
  ]
}
