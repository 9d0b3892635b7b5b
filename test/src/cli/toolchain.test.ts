// rocmforge toolchain: what it brings, on a machine whose apt-get, apt-config and dpkg-deb are scripts of ours.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { debianArchive, filesOf, readDeb822, readOneLine } from '../../../runtime/compile/debian-packages.ts'
import { rocmforge } from './spawn.ts'

const folder = mkdtempSync(join(tmpdir(), 'toolchain-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const bin = join(folder, 'bin')
const sources = join(folder, 'sources.list')
/** Each call of apt-get, a line. */
const log = join(folder, 'log')

function script(name: string, text: string): void {
  writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`)
  chmodSync(join(bin, name), 0o755)
}

const aptGet = `
echo "$*" >> ${log}
archives=$(sed -n 's/^Dir::Cache::Archives "\\(.*\\)";/\\1/p' "$2" 2>/dev/null)
case "$*" in
  *--print-uris*) echo "'http://mirror.example/libhiprtc6.deb' libhiprtc6_6.4.deb 7 SHA256:00" ;;
  *--download-only*)
    [ -n "$FAKE_FAILURE" ] && { echo "E: $FAKE_FAILURE" >&2; exit 100; }
    printf package > "$archives/libhiprtc6_6.4.deb" ;;
esac`

beforeAll(() => {
  mkdirSync(bin)
  writeFileSync(sources, 'deb http://mirror.example/debian bookworm main\n')
  script('apt-config', `[ "$3" = Dir::Etc::sourcelist/f ] && echo "FOUND='${sources}'"; exit 0`)
  script('apt-get', aptGet)
  script(
    'dpkg-deb',
    `[ "$1" = -x ] && mkdir -p "$3/usr/lib" "$3/usr/share/doc" && cp "$2" "$3/usr/lib/libhiprtc.so.6"; exit 0`,
  )
})

const into = join(folder, 'toolchains')
const bring = (args: readonly string[], env: Record<string, string> = {}) =>
  rocmforge(['toolchain', ...args], { env: { PATH: `${bin}:/usr/bin:/bin`, ROCMFORGE_TOOLCHAINS: into, ...env } })
const isDebianMachine = process.platform === 'linux' && process.arch === 'x64'

describe.runIf(isDebianMachine)('with apt (Linux on x86-64)', () => {
  test('unpacks into the folder of toolchains, and the second time has nothing to do', async () => {
    const first = await bring(['6.4'])
    expect(first).toMatchObject({
      code: 0,
      stdout: `6.4    ready in ${into}/6.4: 0.0 MB downloaded, 0.0 MB unpacked\n`,
    })
    expect(first.stderr).toBe('6.4    reading Debian’s package lists\n6.4    downloading 0.0 MB\n')
    expect(readFileSync(join(into, '6.4/lib/libhiprtc.so.6'), 'utf8')).toBe('package')
    expect(JSON.parse(readFileSync(join(into, '6.4/complete.json'), 'utf8'))).toEqual({
      release: '6.4',
      downloadBytes: 7,
      bytes: 7,
      packages: ['libhiprtc6_6.4.deb'],
    })
    expect(readdirSync(join(into, '6.4')).sort()).toEqual(['complete.json', 'lib'])
    expect(readdirSync(into)).toEqual(['6.4']) // neither lock nor half a download is left
    const calls = readFileSync(log, 'utf8')
    expect(await bring(['6.4', '--json'])).toMatchObject({ code: 0, stderr: '' })
    expect(readFileSync(log, 'utf8')).toBe(calls)
  })

  test('--force fetches again; --into names another folder; --json says what came', async () => {
    expect(JSON.parse((await bring(['6.4', '--force', '--json'])).stdout)).toEqual({
      toolchains: [{ release: '6.4', folder: join(into, '6.4'), wasThere: false, downloadBytes: 7, bytes: 7 }],
    })
    const other = join(folder, 'other')
    const { stdout } = await bring(['5.2', '6.4', '--into', other, '-q', '--json'])
    expect(JSON.parse(stdout).toolchains.map((one: { folder: string }) => one.folder)).toEqual([
      join(other, '5.2'),
      join(other, '6.4'),
    ])
    expect(readdirSync(other).sort()).toEqual(['5.2', '6.4'])
  })

  test('without a release: what there is, and what is here', async () => {
    const { code, stdout } = await bring([])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^\* {2}6\.4 +hipRTC 6\.4: /m)
    expect(stdout).toMatch(/^ +7\.2 +hipRTC 7\.2: /m)
    expect(stdout).toContain(`unpacked in ${into}`)
    const listed = JSON.parse((await bring(['--json'])).stdout)
    expect(listed.root).toBe(into)
    expect(listed.toolchains.map(({ folder }: { folder: string | null }) => folder)).toEqual([
      join(into, '6.4'),
      null,
      null,
      null,
    ])
  })

  test('a failed download is one error that says what apt said, and leaves nothing that looks complete', async () => {
    const { code, stdout, stderr } = await bring(['7.2'], { FAKE_FAILURE: 'Failed to fetch http://mirror.example' })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr.replaceAll(folder, '')).toMatch(
      /error\[package-download\]: apt-get failed\n {2}command apt-get -c .*\n {2}said {4}E: Failed to fetch http:\/\/mirror\.example\n {2}help: see that the mirror/,
    )
    expect(existsSync(join(into, '7.2'))).toBe(false)
  })

  test.each([
    ['there is no apt-get', { PATH: '/nonexistent' }, ''],
    [
      'the sources of apt name no Debian archive, only http://archive.ubuntu.com/ubuntu',
      {},
      'deb http://archive.ubuntu.com/ubuntu noble main\n',
    ],
  ])('elsewhere it says that it cannot: %s', async (reason, env, list) => {
    if (list) writeFileSync(sources, list)
    const { code, stdout, stderr } = await bring(['7.2'], env)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(
      /^error\[no-debian\]: compilers are unpacked from Debian’s packages, which this machine cannot fetch\n/,
    )
    expect(stderr).toContain(`  reason ${reason}\n`)
    expect(stderr).toContain('ROCMFORGE_TOOLCHAINS')
  })
})

test('an unknown release is refused with the nearest one', async () => {
  const { code, stderr } = await bring(['rocm6.3'])
  expect(code).toBe(1)
  expect(stderr).toBe(
    'error[unknown-toolchain]: there is no toolchain rocm6.3\n  toolchains 6.4, 7.2, 5.2, nvrtc\n  help: did you mean 6.4? rocmforge toolchain lists them\n',
  )
})

test('the Debian archive is found in both formats of apt’s sources', () => {
  const lines = `# deb http://old.example/debian stretch main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian/ bookworm main contrib
deb http://updates.example/debian-security bookworm-security main`
  expect(debianArchive(readOneLine(lines))).toEqual({
    uri: 'http://mirror.example/debian/',
    suites: ['bookworm'],
    signedBy: '/usr/share/keyrings/debian.gpg',
  })
  const stanzas = `Types: deb
URIs: http://updates.example/debian-security
Suites: trixie-security

Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: trixie trixie-updates
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: sid`
  expect(debianArchive(readDeb822(stanzas))).toEqual({
    uri: 'http://mirror.example/debian',
    suites: ['trixie', 'trixie-updates'],
  })
  expect(debianArchive(readOneLine('deb http://archive.ubuntu.com/ubuntu noble main'))).toBeUndefined()
  expect(filesOf("Reading…\n'http://x/a.deb' a_1%3a2.deb 12 SHA256:0\n'http://x/b' b.deb 3 \n")).toEqual([
    { name: 'a_1%3a2.deb', bytes: 12 },
    { name: 'b.deb', bytes: 3 },
  ])
})
