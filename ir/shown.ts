// A value that a caller gave, for a message: its kind where that tells more than itself, never more than a line.

import { visible } from './visible-text.ts'

const longest = 60

/** `null`, `-1`, `'hots'`, `an array of 3`, `a Float32Array of 8`, `an object`, `a function`. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return quoted(value)
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (ArrayBuffer.isView(value) && 'length' in value) return `a ${value.constructor.name} of ${value.length}`
  const name = (Object.getPrototypeOf(value) as { constructor?: { name?: string } } | null)?.constructor?.name
  return name === undefined || name === 'Object'
    ? 'an object'
    : `${/^[AEIO]|^U(?!RL|int)/.test(name) ? 'an' : 'a'} ${name}`
}

const quoted = (text: string): string =>
  visible(JSON.stringify(text.length > longest ? `${text.slice(0, longest)}…` : text))
