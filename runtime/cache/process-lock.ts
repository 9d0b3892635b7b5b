// A lock between processes: a file that exists while its owner works. Made with a hard link, which is atomic on local
// and network file systems alike; recovered when its owner is dead.
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { threadId } from 'node:worker_threads'
import { z } from 'zod'
import { errorCode, type FileLayer, temporarySuffix } from './file-layer.ts'

/** A lock of another machine, or one that cannot be read, counts as abandoned after this long without a change. */
const abandonedMs = 10 * 60_000
/** Locks guarding a recovery are held for microseconds. */
const abandonedRecoveryMs = 10_000

const owner = z.object({
  /** machine and process namespace that `pid` is meant in */
  host: z.string(),
  pid: z.number().int(),
  /** when that process started: a pid alone is used again */
  started: z.string(),
  /** tells our own locks apart */
  nonce: z.string(),
})
type Owner = z.infer<typeof owner>

let sequence = 0
let here: string | undefined

/** This machine, or the container in it whose process numbers are its own. */
function thisHost(): string {
  if (here !== undefined) return here
  try {
    here = `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    here = hostname() // no /proc: not Linux
  }
  return here
}

/**
 * A process's start time in clock ticks since boot; '' where the system does not tell, `ended` for one that has ended and
 * that nobody has asked about yet (in a container perhaps nobody ever will).
 */
function startOf(pid: number | 'self'): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ') // from field 3; the name before it may hold blanks
    return fields[0] === 'Z' || fields[0] === 'X' ? 'ended' : (fields[19] ?? '')
  } catch {
    return ''
  }
}

const held = new Map<string, { files: FileLayer; nonce: string }>()
process.on('exit', () => {
  for (const [path, lock] of held) release(lock.files, path, lock.nonce)
})

interface LockOptions {
  /** called while waiting, now and then; a true answer ends the wait without the lock */
  readonly done?: () => boolean
  /** how long to wait before going on without the lock; default 5 minutes */
  readonly lockTimeoutMs?: number
  readonly signal?: AbortSignal
}

/**
 * Waits for the lock `path`. Gives a function that releases it; or `'done'` when `done` said so; or `'unlocked'` when
 * no lock can be had (a folder that cannot be written, an owner that never ends): the caller then works without.
 */
export async function takeLock(
  files: FileLayer,
  path: string,
  { done = () => false, lockTimeoutMs = 5 * 60_000, signal }: LockOptions = {},
): Promise<(() => void) | 'done' | 'unlocked'> {
  const nonce = `${process.pid}-${threadId}-${sequence++}-${process.hrtime.bigint()}`
  const deadline = performance.now() + lockTimeoutMs
  let pause = 5
  for (;;) {
    const taken = tryTake(files, path, nonce)
    if (taken === 'unlocked') return 'unlocked'
    if (taken) return () => release(files, path, nonce)
    if (recover(files, path)) continue
    if (done()) return 'done'
    if (performance.now() > deadline) return 'unlocked'
    await sleep(pause * (0.75 + Math.random() / 2), undefined, signal ? { signal } : {})
    pause = Math.min(100, pause * 1.5)
  }
}

function tryTake(files: FileLayer, path: string, nonce: string): boolean | 'unlocked' {
  const content: Owner = { host: thisHost(), pid: process.pid, started: startOf('self'), nonce }
  const temporary = join(dirname(path), `${basename(path)}.${nonce}${temporarySuffix}`)
  try {
    const fd = files.create(temporary)
    try {
      files.write(fd, Buffer.from(JSON.stringify(content)))
    } finally {
      files.close(fd)
    }
    try {
      files.link(temporary, path)
    } catch (error) {
      if (errorCode(error) === 'EEXIST') return false
      throw error
    } finally {
      files.unlink(temporary)
    }
  } catch {
    return 'unlocked' // read-only, full, or a file system without links: two processes may then compile the same
  }
  held.set(path, { files, nonce })
  return true
}

function release(files: FileLayer, path: string, nonce: string): void {
  held.delete(path)
  try {
    if (readOwner(files, path)?.nonce === nonce) files.unlink(path)
  } catch {
    // it will be found abandoned
  }
}

function readOwner(files: FileLayer, path: string): Owner | undefined {
  try {
    const parsed = owner.safeParse(JSON.parse(files.read(path)?.toString() ?? ''))
    return parsed.success ? parsed.data : undefined
  } catch {
    return undefined
  }
}

/** Whether the lock's owner is gone. Absent locks are not stale: the next try takes them. */
function isStale(files: FileLayer, path: string, deadline = abandonedMs): boolean {
  const stats = files.stat(path)
  if (!stats) return false
  const lock = readOwner(files, path)
  if (lock?.host === thisHost()) {
    if (lock.pid === process.pid && lock.started === startOf('self'))
      return held.get(path)?.nonce !== lock.nonce && !threadMayHold(lock)
    return !isAlive(lock)
  }
  return Math.abs(Date.now() - stats.mtimeMs) > deadline // abs: the clock may have been set back since
}

/** Our own process, but not this thread's registry: a worker thread may hold it. */
const threadMayHold = (lock: Owner): boolean => Number(lock.nonce.split('-')[1]) !== threadId

function isAlive({ pid, started }: Owner): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (errorCode(error) === 'ESRCH') return false // EPERM: alive, another user's
  }
  return started === '' || startOf(pid) === '' || startOf(pid) === started
}

/** Removes a stale lock; true when the caller should try again at once. Only one process at a time may judge. */
function recover(files: FileLayer, path: string): boolean {
  try {
    if (!isStale(files, path)) return false
    const guard = `${path}.recover`
    const mine = tryTake(files, guard, `${process.pid}-${threadId}-${sequence++}`)
    if (mine !== true) {
      if (mine === false && isStale(files, guard, abandonedRecoveryMs)) files.unlink(guard)
      return false
    }
    try {
      if (isStale(files, path)) files.unlink(path) // judged again: it may be another's by now
    } finally {
      held.delete(guard)
      files.unlink(guard)
    }
    return true
  } catch {
    return false
  }
}
