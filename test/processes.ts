// Other processes as tests see them.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** One that has ended and that nobody has asked about yet (in a container perhaps nobody ever will) does not run. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
  } catch {
    if (process.platform === 'linux') return false
  }
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Waits for it to end. */
export async function ended(pid: number): Promise<void> {
  while (isRunning(pid)) await sleep(50)
}
