// rocmforge record and replay: steps of a model as files that stand alone, and their comparison on any device.
import { findTarget } from '../../codegen/targets.ts'
import { fail } from '../../ir/diagnostic.ts'
import { openKernelCache } from '../../runtime/cache/kernel-cache.ts'
import { createCompileService } from '../../runtime/compile/service.ts'
import { readReplay, replayBundle } from '../../runtime/inspect/replay.ts'
import { openDevice } from '../api/device.ts'
import { recordBundle } from '../api/record.ts'
import { bar, megabytes, Progress } from './progress.ts'
import { interruptSignal } from './report.ts'
import { jsonText, writeLine } from './table.ts'

interface RecordFlags {
  readonly prompt: string
  readonly steps: number
  readonly target?: string
  readonly out: string
  readonly optLevel: string
  readonly kvDtype?: 'f32' | 'f16' | 'bf16' | 'q8_0' | 'f8'
  readonly context?: number
  readonly json?: boolean
}

export async function record(path: string, flags: RecordFlags): Promise<void> {
  const progress = new Progress(!!flags.json)
  const target = flags.target ? findTarget(flags.target) : await targetOfDevice()
  if (target.wave === 1)
    fail({
      code: 'no-target',
      message: `a bundle for ${flags.target} could not be replayed: its kernels have no waves`,
      help: 'use --target host-wave32 or --target host-wave64 to record for the CPU',
    })
  using service = createCompileService({
    cache: openKernelCache(),
    onProgress: ({ done, total, fromCache }) =>
      progress.update(`kernels  ${bar(done / total)} ${done}/${total}, ${fromCache} from cache`),
  })
  const { replay, files, bytes } = await recordBundle(path, {
    prompt: flags.prompt,
    steps: flags.steps,
    target,
    service,
    out: flags.out,
    optLevel: Number(flags.optLevel) as 0 | 1 | 2 | 3,
    ...(flags.kvDtype ? { kvDtype: flags.kvDtype } : {}),
    ...(flags.context ? { context: flags.context } : {}),
    onStep: (name, done, total) => progress.update(`steps    ${bar(done / total)} ${name}`),
  })
  progress.clear()
  const launches = replay.steps.reduce((n, step) => n + step.launches.length, 0)
  if (flags.json)
    writeLine(
      jsonText({
        out: flags.out,
        target: replay.target,
        steps: replay.steps.length,
        launches,
        files,
        bytes,
        tokenIds: replay.model.tokenIds,
      }),
    )
  else
    process.stdout.write(
      `recorded ${replay.steps.length} steps, ${launches} launches of ${replay.kernels.length} kernels for ${replay.target}: ${files} files, ${megabytes(bytes)} in ${flags.out}\n`,
    )
}

/** Without --target: the GPU that is here. */
async function targetOfDevice() {
  using device = await openDevice('auto')
  if (device.kind === 'device' && device.target.platform !== 'host') return device.target
  return fail({
    code: 'no-target',
    message: 'there is no GPU to record for',
    help: 'name one with --target, such as --target gfx1100',
  })
}

interface ReplayFlags {
  readonly device: string
  readonly isolated?: boolean
  readonly json?: boolean
}

export async function replay(folder: string, flags: ReplayFlags): Promise<void> {
  const progress = new Progress(!!flags.json)
  const bundle = readReplay(folder)
  using device = await openDevice(flags.device, {
    onProgress: ({ done, total }) => progress.update(`kernels  ${bar(done / total)} ${done}/${total}`),
  })
  if (device.kind === 'reference')
    return fail({
      code: 'no-device',
      message: 'the reference executor runs no kernels',
      help: 'replay on a GPU, or with --device host',
    })
  const report = await replayBundle(folder, {
    driver: device.driver,
    target: device.target,
    service: device.service,
    signal: interruptSignal(),
    ...(flags.isolated ? { isolated: true } : {}),
    onLaunch: (done, total) => progress.update(`launches ${bar(done / total)} ${done}/${total}`),
  })
  progress.clear()
  if (report.findings.length) process.exitCode = 1
  if (flags.json) {
    writeLine(jsonText(report))
    return
  }
  const how =
    report.code === 'bundle' ? 'code objects of the bundle' : `sources of the bundle compiled for ${report.target}`
  writeLine(`replayed ${report.launches} launches on ${device.name} (${how}; recorded for ${bundle.target})`)
  for (const { step, label, buffer, at, got, expected, error } of report.findings.slice(0, 20)) {
    writeLine(
      `  wrong  ${step}: ${label}: ${buffer}[${at}] is ${got}, expected ${expected} (${error.toPrecision(3)} times the tolerance)`,
    )
  }
  writeLine(
    report.findings.length
      ? `${report.findings.length} of ${report.compared} compared buffers are wrong; the first is where to look`
      : `all ${report.compared} compared buffers agree, the worst at ${(report.worst * 100).toFixed(0)} % of its tolerance`,
  )
}
