// rocmforge toolchain: run-time compilers for GPUs, unpacked into a folder.
import { toolchainRoot } from '../../runtime/cache/root.ts'
import {
  findRelease,
  provideToolchain,
  type ToolchainRelease,
  toolchainReleases,
  type UnpackedToolchain,
  unpackedToolchain,
} from '../../runtime/compile/toolchain-download.ts'
import { bar, megabytes, Progress } from './progress.ts'
import { interruptSignal } from './report.ts'
import { table, writeJson, writeLine } from './table.ts'

interface ToolchainFlags {
  readonly into?: string
  readonly all?: boolean
  readonly force?: boolean
  readonly quiet?: boolean
  readonly json?: boolean
}

export async function toolchain(names: readonly string[], flags: ToolchainFlags): Promise<void> {
  const every = Object.keys(toolchainReleases) as ToolchainRelease[]
  const wanted = flags.all ? every : [...new Set(names.map(findRelease))]
  if (wanted.length === 0) {
    list(every, flags)
    return
  }
  const progress = new Progress(!!flags.quiet || !!flags.json)
  const signal = interruptSignal()
  const done: UnpackedToolchain[] = []
  try {
    for (const release of wanted) {
      const name = release.padEnd(6)
      const unpacked = await provideToolchain(release, {
        ...(flags.into === undefined ? {} : { into: flags.into }),
        ...(flags.force ? { force: true } : {}),
        signal,
        onProgress(_, { stage, bytes, totalBytes }) {
          if (stage === 'lists') progress.line(`${name} reading Debian’s package lists`)
          else if (stage === 'download') {
            if (bytes === 0) progress.line(`${name} downloading ${megabytes(totalBytes)}`)
            else progress.update(`${name} ${bar(bytes / totalBytes)} ${megabytes(bytes)} of ${megabytes(totalBytes)}`)
          } else progress.update(`${name} ${bar(bytes / totalBytes)} unpacking`)
        },
      })
      progress.clear()
      done.push(unpacked)
      if (!flags.json) writeLine(`${name} ${describe(unpacked)}`)
    }
    if (flags.json) writeJson({ toolchains: done })
  } finally {
    progress.clear()
  }
}

function describe({ folder, wasThere, downloadBytes, bytes }: UnpackedToolchain): string {
  if (wasThere) return `already in ${folder}`
  return `ready in ${folder}: ${megabytes(downloadBytes ?? 0)} downloaded, ${megabytes(bytes ?? 0)} unpacked`
}

function list(releases: readonly ToolchainRelease[], { into = toolchainRoot(), json }: ToolchainFlags): void {
  const rows = releases.map((release) => ({
    release,
    about: toolchainReleases[release],
    found: unpackedToolchain(release, into),
  }))
  if (json) {
    writeJson({
      root: into,
      toolchains: rows.map(({ release, about, found }) => ({ release, about, folder: found?.folder ?? null })),
    })
    return
  }
  writeLine(
    table(
      ['', 'release', 'about'],
      rows.map(({ release, about, found }) => [found ? '*' : '', release, about]),
    ),
  )
  writeLine(`\n* unpacked in ${into}`)
  writeLine('`rocmforge toolchain 6.4` brings one, on Debian, without installing anything')
}
