// An unpacked compiler loads from its own folder alone, under its own C library or under Node's.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { packageRoot } from '../../../ir/package-root.ts'
import { toolchainRoot } from '../../../runtime/cache/root.ts'
import { compilerEnvironment } from '../../../runtime/compile/pool.ts'
import type { WorkerReply } from '../../../runtime/compile/protocol.ts'
import { forgetExecutableStack } from '../../../runtime/compile/toolchain-folder.ts'
import { folderToolchain, type Toolchain } from '../../../runtime/compile/toolchains.ts'
import {
  closureBeside,
  glibcVersion,
  isOfGlibc,
  mappedFiles,
  neededBy,
  ownGlibcVersion,
} from '../../../runtime/platform/needed-libraries.ts'

let decoys: string
beforeAll(() => {
  decoys = mkdtempSync(join(tmpdir(), 'rocmforge-decoys-'))
})
afterAll(() => rmSync(decoys, { recursive: true, force: true }))

const releases = [
  ['5.2', 'gfx906'],
  ['6.4', 'gfx1100'],
  ['7.2', 'gfx1201'],
  ['nvrtc', 'sm_90'],
] as const

/** Compiles an empty kernel; what the process had mapped then. */
async function compileIn({ family, hip, nvrtc, launcher }: Toolchain, target: string) {
  const [program, ...words] = [...launcher, process.execPath, join(packageRoot(), 'dist/compile-worker.js')]
  const child = spawn(program!, words, {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    serialization: 'advanced',
    env: { ...compilerEnvironment(), LD_LIBRARY_PATH: decoys },
  })
  let stderr = ''
  child.stderr!.setEncoding('utf8').on('data', (text) => {
    stderr += text
  })
  try {
    const options = [family === 'nvrtc' ? `--gpu-architecture=${target}` : `--offload-arch=${target}`]
    const source =
      family === 'nvrtc'
        ? 'extern "C" __global__ void nothing() {}'
        : 'extern "C" __attribute__((global)) void nothing() {}'
    child.send({ id: 0, toolchain: { family, hip, nvrtc }, target, name: 'nothing.hip', source, options })
    const reply = await new Promise<WorkerReply>((resolve, reject) => {
      child.once('message', (message) => resolve(message as WorkerReply))
      child.once('exit', (code, signal) => reject(new Error(`the worker ended: ${code ?? signal}\n${stderr}`)))
    })
    return { reply, files: mappedFiles(`/proc/${child.pid}/maps`) }
  } finally {
    child.removeAllListeners('exit')
    child.kill('SIGKILL')
  }
}

describe.each(releases)('%s', (release, target) => {
  const folder = join(toolchainRoot(), release, 'lib')
  // `own` is the machine's glibc: one of 1.0 has the toolchain bring its own, one of 99.0 is newer than any
  test.each([
    ['its own C library', '1.0'],
    ['Node’s C library', ownGlibcVersion()],
    ['a newer C library of the machine’s', '99.0'],
  ])('under %s it takes no library of the machine’s', async (_, own) => {
    if (!existsSync(folder)) return console.log(`skipped: ${release} is not here (rocmforge toolchain ${release})`)
    const version = glibcVersion(join(folder, 'libc.so.6'))!
    const runsInNode = Number(own?.split('.')[0]) === 99
    // under Node's older C library a compiler of a newer Debian cannot run, and need not
    if (runsInNode && Number(version.split('.')[1]) > Number(ownGlibcVersion()?.split('.')[1])) return
    const toolchain = folderToolchain(dirname(folder), process.env, own)!
    if (own !== ownGlibcVersion()) expect(toolchain.launcher).toHaveLength(runsInNode ? 0 : 3)
    // first on the loader's path lies rubbish under every name; Node's own libraries apart where it needs the machine's
    const ofNode = (name: string) => isOfGlibc(name) || /^lib(stdc\+\+|gcc_s|z)\./.test(name)
    for (const name of readdirSync(folder)) if (!ofNode(name)) writeFileSync(join(decoys, name), 'rubbish')
    const { reply, files } = await compileIn(toolchain, target)
    expect(reply).toMatchObject({ kind: 'done', code: 0 })
    const elsewhere = files.filter((file) => /\.so(\.|$)/.test(file) && dirname(file) !== folder)
    const names = new Set(readdirSync(folder))
    const ofFolder = elsewhere.filter((file) => [...names].some((name) => file.endsWith(`/${name}`)))
    if (toolchain.launcher.length > 0) expect(ofFolder).toEqual([])
    expect(elsewhere.filter((file) => /hip|hsa|comgr|LLVM|clang|nvrtc|drm|z3|xml2|icu|elf|numa/.test(file))).toEqual([])
    expect(files.some((file) => file.startsWith(`${folder}/lib`))).toBe(true)
  })

  test('every library that it needs lies in its folder', () => {
    if (!existsSync(folder)) return console.log(`skipped: ${release} is not here (rocmforge toolchain ${release})`)
    const names = readdirSync(folder)
    const missing = names.flatMap((name) => neededBy(join(folder, name)).filter((needed) => !names.includes(needed)))
    expect(missing).toEqual([])
  })
})

test('a library that asks for an executable stack does so no more', () => {
  const header = Buffer.alloc(64 + 2 * 56)
  header.writeUInt32BE(0x7f454c46, 0)
  header[4] = 2
  header.writeBigUInt64LE(64n, 32)
  header.writeUInt16LE(56, 54)
  header.writeUInt16LE(2, 56)
  header.writeUInt32LE(1, 64) // a segment of code stays executable
  header.writeUInt32LE(5, 68)
  header.writeUInt32LE(0x6474e551, 120)
  header.writeUInt32LE(7, 124)
  const file = join(decoys, 'stack.so')
  writeFileSync(file, header)
  forgetExecutableStack(file)
  header.writeUInt32LE(6, 124)
  expect(readFileSync(file)).toEqual(header)
})

test('needed libraries come before those that need them; files that are no libraries need nothing', () => {
  const own = mappedFiles().find((file) => file.includes('libstdc++'))
  if (own) {
    expect(neededBy(own)).toContain('libc.so.6')
    const libc = mappedFiles().find((file) => /\/libc\.so\.6$/.test(file))
    if (libc) {
      expect(closureBeside(dirname(libc), ['libm.so.6', 'absent.so.1'])).toEqual(
        expect.arrayContaining(['libc.so.6', 'libm.so.6']),
      )
      expect(closureBeside(dirname(libc), ['libm.so.6']).at(-1)).toBe('libm.so.6')
    }
  }
  const text = join(decoys, 'text.so')
  writeFileSync(text, 'no library')
  expect(neededBy(text)).toEqual([])
  expect(glibcVersion(text)).toBeUndefined()
  expect(glibcVersion(join(decoys, 'absent'))).toBeUndefined()
})
