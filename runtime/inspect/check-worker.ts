// The program that runs launches which may crash: a device of its own, one job after the other, until its parent leaves.
import { Diagnostic } from '../../ir/diagnostic.ts'
import { Driver } from '../platform/driver.ts'
import type { CheckAnswer, CheckRequest } from './check-process.ts'
import { runLaunches } from './launch-job.ts'

let driver: Driver | undefined

function answer({ open, job }: CheckRequest): CheckAnswer {
  try {
    driver ??= new Driver(open.platform, open.path, open.ordinal)
  } catch (error) {
    return { kind: 'unopened', message: textOf(error) }
  }
  try {
    return { kind: 'done', results: runLaunches(driver, job) }
  } catch (error) {
    const noMemory = error instanceof Diagnostic && error.code === 'out-of-memory'
    return { kind: noMemory ? 'no-memory' : 'error', message: textOf(error) }
  }
}

const textOf = (error: unknown): string =>
  error instanceof Diagnostic ? error.summary : error instanceof Error ? error.message : String(error)

process.on('message', (request: CheckRequest) => process.send!(answer(request)))
process.on('disconnect', () => process.exit(0))
