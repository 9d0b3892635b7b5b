// The folders of a kernel cache, as its parts share them: where entries lie, and how trouble with files is told.
import { errorCode, type FileLayer } from './file-layer.ts'

export const entrySuffix = '.kernel'
export const lockSuffix = '.lock'

export interface CacheFolders {
  /** the writable one */
  readonly root: string
  /** those behind it, in order */
  readonly readOnly: readonly string[]
  readonly files: FileLayer
  /** tells each message once */
  readonly warn: (message: string) => void
}

/** `tell` once for each message; default: a line on standard error. */
export function warnOnce(tell = (message: string): unknown => process.stderr.write(`warning: ${message}\n`)) {
  const warned = new Set<string>()
  return (message: string): void => {
    if (warned.has(message)) return
    warned.add(message)
    tell(message)
  }
}

/** For work that may fail without harm: removals, access times, pruning. */
export function quietly<T>(action: () => T): T | undefined {
  try {
    return action()
  } catch (error) {
    if (errorCode(error) === '') throw error
    return undefined
  }
}

/** Code of a stranger is not run: an entry belongs to us, to root or to the owner of the whole cache. */
export function ownerTrusted({ files, root }: CacheFolders, path: string): boolean {
  const uid = process.getuid?.()
  const owner = files.stat(path)?.uid
  return uid === undefined || owner === undefined || owner === 0 || owner === uid || owner === files.stat(root)?.uid
}
