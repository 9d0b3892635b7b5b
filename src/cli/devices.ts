// rocmforge devices: what there is to compute on, and what is made of it.
import { gpuTargets } from '../../codegen/targets.ts'
import { type DeviceReport, surveyDevices } from '../../runtime/platform/devices.ts'
import { bytesText, table, writeJson, writeLine } from './table.ts'

interface DevicesFlags {
  readonly json?: boolean
  readonly targets?: boolean
}

export async function devices({ json, targets }: DevicesFlags): Promise<void> {
  if (targets) {
    listTargets(json)
    return
  }
  const survey = await surveyDevices({
    askMemory: true,
    onSlow: (message) => process.stderr.write(`${message}\n`),
  })
  if (json) {
    writeJson(survey)
    return
  }
  writeLine(table(['', 'device', 'name', 'target', 'memory', 'about'], survey.devices.map(row)))
  const silent = survey.platforms.filter(({ status }) => status !== 'ok')
  if (silent.length > 0) {
    writeLine('')
    for (const { platform, detail } of silent) writeLine(`${platform}: ${detail}`)
    writeLine('`rocmforge doctor` says what to do about it')
  }
}

const marks = { default: '*', candidate: ' ', skipped: '-' } as const

function row({ id, properties, freeBytes, use, reason }: DeviceReport): string[] {
  const memory = properties
    ? `${freeBytes === undefined ? '' : `${bytesText(freeBytes)} free of `}${bytesText(properties.memoryBytes)}`
    : ''
  const target = properties && properties.platform !== 'host' ? properties.targetId : ''
  const kind = properties?.integrated && properties.platform !== 'host' ? 'integrated; ' : ''
  const about = reason.startsWith(kind) ? reason : `${kind}${reason}`
  return [marks[use], id, properties?.name ?? '', target, memory, about]
}

/** Everything that `--target` takes, with the products that carry it. */
function listTargets(json: boolean | undefined): void {
  if (json) {
    writeJson(gpuTargets)
    return
  }
  const rows = gpuTargets.map(({ name, platform, wave, matrix, products }) => [name, platform, wave, matrix, products])
  writeLine(table(['target', 'platform', 'wave', 'matrix', 'products'], rows))
}
