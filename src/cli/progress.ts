// Progress on standard error: one line that rewrites itself on a terminal, a line a stage elsewhere.

import { cut, visible, visibleLines } from '../../ir/visible-text.ts'

const clearLine = '\r\x1b[2K'

export class Progress {
  readonly #stream: NodeJS.WriteStream
  readonly #quiet: boolean
  #shown = false
  #last = ''

  constructor(quiet: boolean, stream: NodeJS.WriteStream = process.stderr) {
    this.#quiet = quiet
    this.#stream = stream
  }

  /** What is being done now; on a terminal the line is replaced by the next. */
  update(text: string): void {
    if (this.#quiet || !this.#stream.isTTY) return
    this.#stream.write(`${clearLine}${visible(text).slice(0, Math.max(20, (this.#stream.columns || 80) - 1))}`)
    this.#shown = true
  }

  /** A line that stays. */
  line(text: string): void {
    if (this.#quiet || text === this.#last) return
    this.clear()
    this.#last = text
    this.#stream.write(`${cut(visibleLines(text), 4000)}\n`)
  }

  clear(): void {
    if (this.#shown) this.#stream.write(clearLine)
    this.#shown = false
  }
}

export const bar = (share: number, width = 20): string => {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width)
  return `${'█'.repeat(full)}${'░'.repeat(width - full)}`
}

export const megabytes = (bytes: number): string =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`

/** `0.8 s, 9.4 GB/s` */
export const loadingRate = (bytes: number, seconds: number): string =>
  `${seconds.toFixed(2)} s, ${(bytes / 1e9 / Math.max(seconds, 1e-6)).toFixed(1)} GB/s`
