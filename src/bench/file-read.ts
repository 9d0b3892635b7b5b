// A plain read of a model's files: what loading is reported beside.
import { closeSync, openSync, readSync, statSync } from 'node:fs'

const pieceBytes = 8 * 2 ** 20

/** Reads the files twice, so that the second time they come from the page cache where they fit into it, and times that. */
export async function plainFileRead(
  files: readonly string[],
  signal?: AbortSignal,
): Promise<{ gbPerSecond: number; bytes: number }> {
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0)
  let ms = 0
  for (let turn = 0; turn < 2; turn++) {
    const start = performance.now()
    for (const file of files) await readWhole(file, signal)
    ms = performance.now() - start
  }
  return { gbPerSecond: bytes / ms / 1e6, bytes }
}

async function readWhole(file: string, signal?: AbortSignal): Promise<void> {
  const piece = new Uint8Array(pieceBytes)
  const fd = openSync(file, 'r')
  try {
    for (let count = 0; readSync(fd, piece) > 0; count++) {
      if (count % 64 === 63) await new Promise((resolve) => setImmediate(resolve)) // signals get their turn
      signal?.throwIfAborted()
    }
  } finally {
    closeSync(fd)
  }
}
