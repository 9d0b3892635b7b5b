// Loading takes the memory of the weights and little more: a checkpoint far larger than what may come on top.
import { execFile } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { packageRoot } from '../../ir/package-root.ts'
import { compile } from '../../src/api/compile.ts'
import { writeRandomHf } from '../hf-writer.ts'

const mebi = 2 ** 20

/** Turns a tiny checkpoint into one of `layers` wide layers whose weights are a hole in the file: zeros that take no disk. */
function widen(folder: string, layers: number): number {
  const [D, F] = [2048, 8192]
  const file = join(folder, 'model.safetensors')
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))
  Object.assign(config, {
    hidden_size: D,
    intermediate_size: F,
    num_hidden_layers: layers,
    num_attention_heads: 16,
    num_key_value_heads: 16,
  })
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  const shapes: [string, number[]][] = [
    ['model.embed_tokens.weight', [config.vocab_size, D]],
    ['model.norm.weight', [D]],
  ]
  for (let n = 0; n < layers; n++) {
    for (const part of ['q', 'k', 'v', 'o']) shapes.push([`model.layers.${n}.self_attn.${part}_proj.weight`, [D, D]])
    shapes.push([`model.layers.${n}.mlp.gate_proj.weight`, [F, D]])
    shapes.push([`model.layers.${n}.mlp.up_proj.weight`, [F, D]])
    shapes.push([`model.layers.${n}.mlp.down_proj.weight`, [D, F]])
    for (const norm of ['input', 'post_attention']) shapes.push([`model.layers.${n}.${norm}_layernorm.weight`, [D]])
  }
  let bytes = 0
  const header: Record<string, unknown> = {}
  for (const [name, shape] of shapes) {
    const size = 2 * shape.reduce((a, b) => a * b, 1)
    header[name] = { dtype: 'F16', shape, data_offsets: [bytes, bytes + size] }
    bytes += size
  }
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  const out = openSync(file, 'w')
  writeSync(out, Buffer.concat([length, text]))
  closeSync(out)
  truncateSync(file, 8 + text.length + bytes)
  return bytes
}

test('peak memory beyond the weights stays under 256 MB', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rocmforge-wide-'))
  try {
    writeRandomHf(folder)
    const weights = widen(folder, 4)
    expect(weights).toBeGreaterThan(500 * mebi)
    const script = `
      const { compile } = await import(${JSON.stringify(pathToFileURL(join(packageRoot(), 'dist/index.js')).href)})
      const before = process.memoryUsage.rss()
      const model = await compile(${JSON.stringify(folder)}, { device: 'host', context: 64 })
      const logits = await model.logits([1, 2, 3])
      console.log(JSON.stringify({ before, peak: process.resourceUsage().maxRSS * 1024, finite: logits.every(Number.isFinite) }))
      await model.dispose()`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
    const { before, peak, finite } = JSON.parse(stdout)
    expect(finite).toBe(true)
    expect(peak - before).toBeGreaterThan(weights) // the measure sees the weights
    expect((peak - before - weights) / mebi).toBeLessThan(256)
    console.log(
      `${((peak - before - weights) / mebi).toFixed(0)} MiB of host memory at most beyond ${(weights / mebi).toFixed(0)} MiB of weights`,
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('a cache that this machine has no memory for is refused by the reference executor too', async () => {
  const loading = compile(join(packageRoot(), 'models/story-3m'), { device: 'reference', context: 1e9 })
  await expect(loading).rejects.toMatchObject({
    code: 'out-of-memory',
    message: expect.stringMatching(/the cache of 1000000000 tokens takes [\d.]+ GiB/),
  })
})
