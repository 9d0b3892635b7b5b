// rocmforge doctor: what works here, what does not, and what to do about it.
import { type Check, examine } from '../api/doctor.ts'
import { interruptSignal } from './report.ts'
import { writeJson, writeLine } from './table.ts'

interface DoctorFlags {
  readonly json?: boolean
  readonly selfCheck: boolean
}

const marks: Record<Check['status'], string> = { ok: 'ok  ', warn: 'warn', fail: 'FAIL', skip: '-   ' }

export async function doctor({ json, selfCheck }: DoctorFlags): Promise<void> {
  const { checks, defaultDevice, healthy } = await examine({
    selfCheck,
    signal: interruptSignal(),
    ...(json ? {} : { onCheck: (check) => print(check) }),
  })
  if (json) writeJson({ healthy, defaultDevice, checks })
  else writeLine(healthy ? '\nready' : '\nnot ready: see the lines marked FAIL')
  if (!healthy) process.exitCode = 1
}

function print({ id, status, detail, fix }: Check): void {
  writeLine(`${marks[status]}  ${id.padEnd(20)} ${detail}`)
  if (fix && (status === 'warn' || status === 'fail')) writeLine(`${' '.repeat(27)}fix: ${fix}`)
}
