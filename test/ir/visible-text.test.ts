// What text from files may do to a terminal: nothing. One function, and the places where such text comes out.

import { describe, expect, test } from 'vitest'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { cut, visible, visibleLines } from '../../ir/visible-text.ts'
import { table } from '../../src/cli/table.ts'
import fc from '../fast-check.ts'

const hostile =
  '\x1b[2J\x1b]0;title\x07\r\n\x9b31m\u202eevil\u202c\u2066x\u2069\u200b\u200d\ufeff\u2028\u00ad\u{e0041}\ud800\x7f'
/** controls, marks of direction, zero-width, separators, tags, lone surrogates */
const bad = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u

describe('visible', () => {
  test('hidden characters are escaped, letters of every script are not', () => {
    expect(visible(hostile)).toBe(
      '\\u001b[2J\\u001b]0;title\\u0007\\r\\n\\u009b31m\\u202eevil\\u202c\\u2066x\\u2069\\u200b\\u200d\\ufeff\\u2028\\u00ad\\udb40\\udc41\\ud800\\u007f',
    )
    for (const text of ['naïve Größe', 'Ελλάδα', 'עברית', 'عربي', '日本語', 'हिन्दी', '🐘❤️', '｜▁ĠĊ', 'C:\\new'])
      expect(visible(text)).toBe(text)
    expect(visibleLines('a\n\tb\x1b')).toBe('a\n\tb\\u001b')
  })
  test('JSON says the same afterwards', () => {
    const value = { [hostile]: [hostile] }
    const shown = visible(JSON.stringify(value))
    expect(bad.test(shown)).toBe(false)
    expect(JSON.parse(shown)).toEqual(value)
  })
  test('nothing hidden is left of any text', () =>
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => !bad.test(visible(text)))))
  test('cut at whole characters', () => {
    expect(cut('abc', 3)).toBe('abc')
    expect(cut('abcd', 3)).toBe('abc… (4 characters)')
    expect(cut('ab🐘', 3)).toBe('ab… (4 characters)')
  })
})

describe('where it comes out', () => {
  const error = new Diagnostic({
    code: 'bad-config',
    message: `models of ${hostile}${'x'.repeat(5000)}`,
    facts: [
      ['key', hostile],
      ['got', `${'y'.repeat(5000)}\n`.repeat(500)],
    ],
    help: `rename ${hostile}`,
  })
  test('a Diagnostic: rendered, printed, as data and as JSON', () => {
    for (const text of [error.message, error.summary, error.help!, JSON.stringify(error), `${error.facts[0]}`])
      expect(bad.test(text.replaceAll('\n', ''))).toBe(false)
    expect(error.message.split('\n')[0]).toContain('\\u001b[2J')
    expect(error.message.split('\n')[0]!.length).toBeLessThan(500)
    expect(error.message.length).toBeLessThan(30_000)
    expect(error.message).toContain('(461 lines more)')
    expect(
      error.message
        .split('\n')
        .slice(1)
        .every((line) => line.startsWith('  ')),
    ).toBe(true)
  })
  test('a command line that reproduces a failure stays whole', () => {
    const command = `hipcc ${'-DP_X=1 '.repeat(500)}`
    expect(new Diagnostic({ code: 'bad-config', message: 'x', facts: [['command', command]] }).message).toContain(
      command,
    )
  })
  test('a table', () => expect(bad.test(table(['name'], [[hostile]]).replaceAll('\n', ''))).toBe(false))
})
