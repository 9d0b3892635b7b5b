// The three symbol tables: complete, of one shape, and bound with an error that names what is missing.
import { describe, expect, test } from 'vitest'
import type { Diagnostic } from '../../../ir/diagnostic.ts'
import { bindCalls, type CallName, type Direct, optionalCalls } from '../../../runtime/platform/calls.ts'
import { symbolTables } from '../../../runtime/platform/driver.ts'
import type { NativeLibrary, NativeType } from '../../../runtime/platform/ffi.ts'

const platforms = ['amd', 'nvidia', 'host'] as const
const names = Object.keys(symbolTables.amd) as CallName[]

describe('symbol tables', () => {
  test.each(platforms)('%s has an entry for every call', (platform) => {
    expect(Object.keys(symbolTables[platform]).sort()).toEqual([...names].sort())
  })

  test.each(platforms)('%s leaves out only what is optional, with a reason', (platform) => {
    for (const name of names) {
      const entry = symbolTables[platform][name]
      if (!('absent' in entry)) continue
      expect(optionalCalls.has(name), name).toBe(true)
      expect(entry.absent.length, name).toBeGreaterThan(10)
    }
  })

  test('direct entries take as many arguments on every platform', () => {
    for (const name of names) {
      const counts = platforms
        .map((platform) => symbolTables[platform][name])
        .filter((entry): entry is Direct => 'symbols' in entry)
        .map((entry) => entry.args.length)
      expect(new Set(counts).size, name).toBeLessThanOrEqual(1)
    }
  })

  test('names carry their vendor’s prefix', () => {
    const prefixes = { amd: /^hip/, nvidia: /^cu/, host: /^hip/ }
    for (const platform of platforms) {
      for (const entry of Object.values(symbolTables[platform])) {
        const symbols = 'symbols' in entry ? entry.symbols : 'symbol' in entry ? [entry.symbol] : []
        for (const symbol of symbols) expect(symbol).toMatch(prefixes[platform])
      }
    }
  })
})

/** A library that exports everything but `without`. */
function library(without: readonly string[] = []): NativeLibrary & { bound: Map<string, readonly NativeType[]> } {
  const bound = new Map<string, readonly NativeType[]>()
  return {
    path: '/fake/lib.so',
    bound,
    bind(symbol, _returns, args) {
      if (without.includes(symbol)) return undefined
      bound.set(symbol, args)
      return Object.assign(() => 0, { async: () => {} })
    },
  }
}

describe('binding', () => {
  test('a missing function is named', () => {
    let error: Diagnostic | undefined
    try {
      bindCalls(library(['hipStreamQuery', 'hipMalloc']), symbolTables.amd)
    } catch (thrown) {
      error = thrown as Diagnostic
    }
    expect(error?.message).toMatchInlineSnapshot(`
      "error[library-symbol]: /fake/lib.so lacks functions that the driver needs
        missing hipMalloc, hipStreamQuery
        help: the library is older than HIP 5.0 or not the runtime it claims to be: name another folder in ROCMFORGE_ROCM_PATH"
    `)
  })

  test('optional functions may be missing', () => {
    const old = ['hipMallocAsync', 'hipGetDevicePropertiesR0600', 'hipGraphLaunch', 'hipGraphInstantiate']
    const { calls } = bindCalls(library(old), symbolTables.amd)
    expect(calls.allocAsync).toBeUndefined()
    expect(calls.propertiesR0600).toBeUndefined()
    expect(calls.graphInstantiate).toBeUndefined()
    expect(calls.launch).toBeDefined()
  })

  test('CUDA’s suffixed names are the ones bound', () => {
    const fake = library()
    const { symbols } = bindCalls(fake, symbolTables.nvidia)
    for (const name of ['cuMemAlloc_v2', 'cuStreamDestroy_v2', 'cuEventDestroy_v2', 'cuStreamBeginCapture_v2']) {
      expect(fake.bound.has(name)).toBe(true)
    }
    expect(fake.bound.has('cuGraphInstantiate')).toBe(false) // changed its meaning between releases
    expect(symbols.alloc).toBe('cuMemAlloc_v2')
    expect(bindCalls(library(['cuEventElapsedTime_v2']), symbolTables.nvidia).calls.eventElapsed).toBeDefined()
  })
})
