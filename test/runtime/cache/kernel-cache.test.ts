import { spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { decodeEntry, encodeEntry, keyOf, sha256 } from '../../../runtime/cache/entry.ts'
import {
  type Built,
  type KernelCacheOptions,
  type KeyInput,
  openKernelCache,
} from '../../../runtime/cache/kernel-cache.ts'
import { faultyFiles, flipByte, refusingFiles } from './faulty-files.ts'

const parts = (source = 'kernel', target = 'gfx1100'): KeyInput => ({
  source: sha256(source),
  options: ['-DP_BLOCK=256'],
  target,
  compiler: 'hiprtc 6.4 abc',
})
const built = (text = 'code object'): Built => ({
  label: 'norm/rms_norm.hip',
  kernels: ['rms_norm'],
  log: '',
  resources: [{ name: 'rms_norm', vgprs: 20, ldsBytes: 32 }],
  image: Buffer.from(text),
})
const text = (entry: { image: Uint8Array } | undefined) => entry && Buffer.from(entry.image).toString()

let scratch: string
let root: string
let runs = 0
let warnings: string[]
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'rocmforge-cache-'))
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
beforeEach(() => {
  root = join(scratch, `run-${runs++}`)
  warnings = []
})
const open = (options: KernelCacheOptions = {}) =>
  openKernelCache({ root, readOnly: [], onWarning: (message) => warnings.push(message), ...options })
const pathOf = (p: KeyInput, base = root) => join(base, p.target, `${keyOf(p)}.kernel`)

describe('entries', () => {
  test('a stored kernel comes back as it was', () => {
    open().put(parts(), built())
    const entry = open().get(parts())!
    expect(text(entry)).toBe('code object')
    expect(entry).toMatchObject({ key: keyOf(parts()), label: 'norm/rms_norm.hip', resources: built().resources })
    expect(warnings).toEqual([])
  })

  test('the same kernel gives the same bytes, whoever writes them and when', () => {
    expect(encodeEntry({ ...built(), parts: { schema: 1, ...parts() } }, built().image)).toEqual(
      encodeEntry({ parts: { schema: 1, ...parts() }, ...built() }, built().image),
    )
  })

  test('each part of the key matters', () => {
    const p = parts()
    const keys = [
      p,
      { ...p, source: sha256('other') },
      { ...p, options: ['-DP_BLOCK=512'] },
      { ...p, options: ['-DP_BLOCK=256', '-O3'] },
      { ...p, target: 'gfx1101' },
      { ...p, target: 'gfx90a:xnack-' },
      { ...p, compiler: 'hiprtc 6.4 abd' },
    ].map(keyOf)
    expect(new Set(keys).size).toBe(keys.length)
  })

  test('an entry with any byte changed is refused, removed and made again', async () => {
    open().put(parts(), built())
    const whole = readFileSync(pathOf(parts()))
    for (let at = 0; at < whole.length; at++) {
      const bytes = Buffer.from(whole)
      bytes[at] = bytes[at]! ^ 0xff
      expect(decodeEntry(bytes), `byte ${at}`).toBeTypeOf('string')
      bytes[at] = whole[at]! ^ 1
      expect(decodeEntry(bytes), `low bit of byte ${at}`).toBeTypeOf('string')
    }
    flipByte(pathOf(parts()), 40)
    const cache = open()
    expect(cache.get(parts())).toBeUndefined()
    expect(existsSync(pathOf(parts()))).toBe(false)
    expect(warnings.join()).toMatch(/unusable \(.*\); it is compiled again/)
    expect((await cache.getOrBuild(parts(), async () => built())).fromCache).toBe(false)
    expect(text(open().get(parts()))).toBe('code object')
  })

  test('every length short of the whole is refused', () => {
    open().put(parts(), built())
    const whole = readFileSync(pathOf(parts()))
    for (let size = 0; size < whole.length; size++) expect(decodeEntry(whole.subarray(0, size))).toBeTypeOf('string')
    expect(decodeEntry(Buffer.concat([whole, Buffer.of(0)]))).toBeTypeOf('string')
  })

  test.each([
    ['zero length', (path: string) => truncateSync(path, 0)],
    ['half of it', (path: string) => truncateSync(path, statSync(path).size >> 1)],
    ['an old schema', (path: string) => flipByte(path, 8)],
    ['another program’s file', (path: string) => writeFileSync(path, 'PNG')],
  ])('%s is a miss that heals', async (_, damage) => {
    open().put(parts(), built())
    damage(pathOf(parts()))
    expect((await open().getOrBuild(parts(), async () => built('again'))).fromCache).toBe(false)
    expect(text(open().get(parts()))).toBe('again')
    expect(warnings).toHaveLength(1)
  })

  test('an entry lying under another key or target is refused', () => {
    open().put(parts('a', 'gfx1030'), built())
    const bytes = readFileSync(pathOf(parts('a', 'gfx1030')))
    for (const wrong of [parts('a', 'gfx1031'), parts('b', 'gfx1030')]) {
      mkdirSync(join(root, wrong.target), { recursive: true })
      writeFileSync(pathOf(wrong), bytes)
      expect(open().get(wrong)).toBeUndefined()
    }
    expect(text(open().get(parts('a', 'gfx1030')))).toBe('code object')
  })

  test('a link in place of an entry is not followed, and is replaced', async () => {
    const secret = join(scratch, 'secret')
    writeFileSync(secret, 'not ours')
    mkdirSync(join(root, 'gfx1100'), { recursive: true })
    symlinkSync(secret, pathOf(parts()))
    expect(open().get(parts())).toBeUndefined()
    await open().getOrBuild(parts(), async () => built())
    expect(readFileSync(secret, 'utf8')).toBe('not ours')
    expect(text(open().get(parts()))).toBe('code object')
  })

  test('a link in place of a target folder is not written through', async () => {
    const elsewhere = join(scratch, 'elsewhere')
    mkdirSync(elsewhere)
    mkdirSync(root)
    symlinkSync(elsewhere, join(root, 'gfx1100'))
    const { entry } = await open().getOrBuild(parts(), async () => built())
    expect(text(entry)).toBe('code object')
    expect(readdirSync(elsewhere).filter((name) => name.endsWith('.kernel'))).toEqual([])
    expect(warnings.join()).toContain('ELOOP')
  })
})

describe('writing', () => {
  test('stopped at any step, leaves the old entry or the new one', () => {
    const clean = faultyFiles({ at: -1, kind: 'crash' })
    open({ files: clean }).put(parts(), built('old'))
    expect(clean.steps).toContain('syncFolder')
    expect(clean.steps.indexOf('sync')).toBeLessThan(clean.steps.indexOf('rename'))
    for (const kept of [0, 0.5, 1]) {
      for (let at = 0; at < clean.steps.length; at++) {
        for (const before of [undefined, 'old']) {
          rmSync(root, { recursive: true, force: true })
          if (before) open().put(parts(), built(before))
          open({ files: faultyFiles({ at, kind: 'crash', kept }) }).put(parts(), built('new'))
          warnings = []
          const after = text(open().get(parts()))
          expect([before, 'new'], `step ${at} ${clean.steps[at]}, kept ${kept}`).toContain(after)
          expect(warnings, `step ${at} ${clean.steps[at]}: damage`).toEqual([])
        }
      }
    }
  })

  test.each(['ENOSPC', 'EIO', 'EROFS'])('%s at any step costs a warning, not the kernel', async (code) => {
    const clean = faultyFiles({ at: -1, kind: 'error' })
    await open({ files: clean }).getOrBuild(parts(), async () => built())
    for (let at = 0; at < clean.steps.length; at++) {
      rmSync(root, { recursive: true, force: true })
      const cache = open({ files: faultyFiles({ at, kind: 'error', code }) })
      const { entry } = await cache.getOrBuild(parts(), async () => built())
      expect(text(entry), `step ${at} ${clean.steps[at]}`).toBe('code object')
      expect(['code object', undefined]).toContain(text(open().get(parts())))
    }
  })

  test.each(['EROFS', 'ENOSPC', 'EACCES'])(
    'a cache that refuses everything (%s) still serves and builds',
    async (code) => {
      open().put(parts('present'), built('present'))
      const cache = open({ files: refusingFiles(code) })
      expect(text(cache.get(parts('present')))).toBe('present')
      expect((await cache.getOrBuild(parts('absent'), async () => built('made'))).fromCache).toBe(false)
      expect(warnings).toEqual([expect.stringContaining(`cannot write the kernel cache ${root} (${code})`)])
    },
  )

  test('a root that is a file costs a warning', async () => {
    writeFileSync(root, '')
    const { entry } = await open().getOrBuild(parts(), async () => built())
    expect(text(entry)).toBe('code object')
    expect(warnings).toHaveLength(1)
    expect(open().list()).toEqual([])
  })

  test('a failing build passes its error on and stores nothing', async () => {
    const cache = open()
    const failing = cache.getOrBuild(parts(), () => Promise.reject(new Error('no such type')))
    await expect(failing).rejects.toThrow('no such type')
    expect((await cache.getOrBuild(parts(), async () => built())).fromCache).toBe(false)
    expect(readdirSync(join(root, 'gfx1100'))).toEqual([`${keyOf(parts())}.kernel`])
  })
})

describe('several caches', () => {
  test('read-only ones are asked after the writable one, and never changed', async () => {
    const shipped = join(scratch, 'shipped')
    openKernelCache({ root: shipped, readOnly: [] }).put(parts(), built('shipped'))
    const cache = open({ readOnly: [join(scratch, 'missing'), shipped] })
    expect(text(cache.get(parts()))).toBe('shipped')
    flipByte(pathOf(parts(), shipped), 60)
    const damaged = readFileSync(pathOf(parts(), shipped))
    expect((await cache.getOrBuild(parts(), async () => built('own'))).fromCache).toBe(false)
    expect(readFileSync(pathOf(parts(), shipped))).toEqual(damaged)
    expect(text(cache.get(parts()))).toBe('own')
    expect(cache.clear().removed).toBe(1)
    expect(cache.list()).toHaveLength(1)
  })

  test('remembers what the check on a device found', () => {
    const cache = open()
    const outcome = { outcome: 'passed', device: 'gfx1100, HIP 6.4' } as const
    expect(cache.setSelfCheck(parts(), outcome)).toBe(false)
    cache.put(parts(), built())
    expect(cache.setSelfCheck(parts(), outcome)).toBe(true)
    expect(open().get(parts())).toMatchObject({ selfCheck: outcome, label: 'norm/rms_norm.hip' })
  })
})

describe('housekeeping', () => {
  test('prune removes what was used longest ago, and a clock set back does no harm', () => {
    const cache = open()
    const names = ['a', 'b', 'c', 'future']
    for (const name of names) cache.put(parts(name), built(name.padEnd(1000)))
    const day = 86_400
    const now = Date.now() / 1000
    utimesSync(pathOf(parts('a')), now - 2 * day, now)
    utimesSync(pathOf(parts('b')), now - 9 * day, now)
    utimesSync(pathOf(parts('c')), now - 3 * day, now)
    utimesSync(pathOf(parts('future')), now + 900 * day, now + 900 * day)
    expect(cache.get(parts('b'))).toBeDefined() // used just now: c is the oldest from here on
    const size = statSync(pathOf(parts('a'))).size
    expect(cache.prune(size * 3.5).removed).toBe(1)
    expect(names.filter((name) => existsSync(pathOf(parts(name))))).toEqual(['a', 'b', 'future'])
    expect(cache.prune(0).removed).toBe(3)
  })

  test('prune takes old leftovers and leaves fresh ones', () => {
    const cache = open()
    cache.put(parts(), built())
    const [old, fresh] = ['old.tmp', 'fresh.tmp'].map((name) => join(root, 'gfx1100', name)) as [string, string]
    writeFileSync(old, '')
    writeFileSync(fresh, '')
    utimesSync(old, 1, 1)
    cache.prune()
    expect([existsSync(old), existsSync(fresh)]).toEqual([false, true])
  })

  test('verify names each damaged entry, and removes them when asked', () => {
    const cache = open()
    for (const name of ['a', 'b', 'c']) cache.put(parts(name), built())
    flipByte(pathOf(parts('b')), 30)
    const damaged = cache.verify({ remove: true }).filter((row) => 'damage' in row)
    expect(damaged.map((row) => row.key)).toEqual([keyOf(parts('b'))])
    expect(cache.list()).toHaveLength(2)
  })

  test('clear takes one target or all; other folders of the root are left alone', () => {
    const cache = open()
    cache.put(parts('a', 'gfx1100'), built())
    cache.put(parts('a', 'gfx90a:sramecc+:xnack-'), built())
    mkdirSync(join(root, 'toolchains', 'gfx'), { recursive: true })
    writeFileSync(join(root, 'toolchains', 'keep'), '')
    expect(cache.list().map((row) => row.folder)).toEqual(['gfx1100', 'gfx90a.sramecc+.xnack-'])
    expect(cache.clear({ target: 'gfx90a:sramecc+:xnack-' }).removed).toBe(1)
    expect(cache.clear().removed).toBe(1)
    expect(existsSync(join(root, 'toolchains', 'keep'))).toBe(true)
  })
})

describe('processes', () => {
  let entry: string
  beforeAll(async () => {
    entry = join(scratch, 'builder.mjs')
    await build({
      stdin: {
        contents: `
          import { appendFileSync, writeFileSync } from 'node:fs'
          import { openKernelCache } from './runtime/cache/kernel-cache.ts'
          const [root, log, parts, ms] = process.argv.slice(2)
          const cache = openKernelCache({ root, readOnly: [] })
          const built = (letter) =>
            ({ label: 'l', kernels: [], log: '', resources: [], image: Buffer.from(letter.repeat(200_000)) })
          for (let i = 0; ms === 'rewrite'; i++) cache.put(JSON.parse(parts), built('ab'[i % 2]))
          const { entry } = await cache.getOrBuild(JSON.parse(parts), async () => {
            appendFileSync(log, 'built ' + process.pid + '\\n')
            await new Promise((done) => setTimeout(done, Number(ms)))
            return { label: 'l', kernels: [], log: '', resources: [], image: Buffer.from('by a child') }
          })
          process.stdout.write(Buffer.from(entry.image).toString())`,
        resolveDir: process.cwd(),
        loader: 'ts',
      },
      bundle: true,
      packages: 'bundle',
      platform: 'node',
      format: 'esm',
      outfile: entry,
      logLevel: 'silent',
    })
  })

  const child = (log: string, ms: number | 'rewrite') => {
    const process_ = spawn(process.execPath, [entry, root, log, JSON.stringify(parts()), String(ms)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let out = ''
    process_.stdout.on('data', (chunk) => (out += chunk))
    return { process: process_, ended: new Promise<string>((done) => process_.on('close', () => done(out))) }
  }
  const lines = (log: string) => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [])

  test('sixteen that want one kernel compile it once', async () => {
    const log = `${root}.log`
    const outputs = await Promise.all(Array.from({ length: 16 }, () => child(log, 300).ended))
    expect(outputs).toEqual(Array(16).fill('by a child'))
    expect(lines(log)).toHaveLength(1)
    expect(readdirSync(join(root, 'gfx1100'))).toEqual([`${keyOf(parts())}.kernel`])
  })

  test('one killed while compiling holds up nobody', async () => {
    const log = `${root}.log`
    const victim = child(log, 60_000)
    while (lines(log).length === 0) await new Promise((done) => setTimeout(done, 20))
    expect(readdirSync(join(root, 'gfx1100'))).toEqual([`${keyOf(parts())}.lock`])
    victim.process.kill('SIGKILL')
    await victim.ended
    const heirs = await Promise.all([child(log, 100).ended, child(log, 100).ended])
    expect(heirs).toEqual(['by a child', 'by a child'])
    expect(lines(log)).toHaveLength(2) // the victim, and one of the heirs
    expect(readdirSync(join(root, 'gfx1100'))).toEqual([`${keyOf(parts())}.kernel`])
  })

  test.runIf(process.platform === 'linux')('nor does one that was killed and that nobody has asked about', async () => {
    const log = `${root}.log`
    const words = [process.execPath, entry, root, log, JSON.stringify(parts()), '60000'].map((word) => `'${word}'`)
    const negligent = spawn('sh', ['-c', `${words.join(' ')} & exec sleep 600`], { stdio: 'ignore' })
    while (lines(log).length === 0) await new Promise((done) => setTimeout(done, 20))
    process.kill(Number(/\d+/.exec(lines(log)[0]!)), 'SIGKILL')
    expect(await child(log, 1).ended).toBe('by a child')
    negligent.kill()
  })

  test('one killed while it rewrites an entry leaves the old or the new one', async () => {
    for (let round = 0; round < 6; round++) {
      const victim = child('', 'rewrite')
      while (!existsSync(pathOf(parts()))) await new Promise((done) => setTimeout(done, 5))
      await new Promise((done) => setTimeout(done, round * 7))
      victim.process.kill('SIGKILL')
      await victim.ended
      expect(text(open().get(parts()))).toMatch(/^(a{200000}|b{200000})$/)
      expect(warnings).toEqual([])
    }
  })

  test('a lock whose owner’s number now belongs to another process is stale', async () => {
    open().put(parts('other'), built())
    const lock = { host: hostname(), pid: process.pid, started: '1', nonce: 'x-0-0' }
    writeFileSync(join(root, 'gfx1100', `${keyOf(parts())}.lock`), JSON.stringify(lock))
    utimesSync(join(root, 'gfx1100', `${keyOf(parts())}.lock`), 1, 1)
    expect((await open().getOrBuild(parts(), async () => built())).fromCache).toBe(false)
  })

  test('an unreadable fresh lock is waited for, but not for ever', async () => {
    open().put(parts('other'), built())
    writeFileSync(join(root, 'gfx1100', `${keyOf(parts())}.lock`), '')
    const { entry: made } = await open({ lockTimeoutMs: 50 }).getOrBuild(parts(), async () => built())
    expect(text(made)).toBe('code object')
  })

  test('within a process, callers share one build; one that gives up does not take the others along', async () => {
    const cache = open()
    let builds = 0
    const make = async () => {
      builds++
      await new Promise((done) => setTimeout(done, 20))
      return built()
    }
    const all = await Promise.all([1, 2, 3].map(() => cache.getOrBuild(parts(), make)))
    expect(builds).toBe(1)
    expect(all.map(({ entry: e }) => text(e))).toEqual(Array(3).fill('code object'))
    const aborted = cache.getOrBuild(parts('b'), () => Promise.reject(new DOMException('stop', 'AbortError')))
    const patient = cache.getOrBuild(parts('b'), make)
    await expect(aborted).rejects.toThrow('stop')
    expect(text((await patient).entry)).toBe('code object')
  })
})
