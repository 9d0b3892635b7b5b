import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findTarget, findTargets, gpuTargets, hostTarget, targetNames } from '../../codegen/targets.ts'
import { packageRoot } from '../../ir/package-root.ts'
import { targetId } from '../../ir/target.ts'

const asked =
  'gfx906,gfx908,gfx90a,gfx942,gfx950,gfx1030,gfx1100,gfx1101,gfx1102,gfx1103,gfx1150,gfx1151,gfx1200,gfx1201'

describe('the table', () => {
  test('holds every target of interest, once', () => {
    expect(findTargets(`${asked},sm_80,sm_86,sm_89,sm_90,sm_100,sm_120`)).toHaveLength(20)
    expect(new Set(targetNames).size).toBe(targetNames.length)
  })

  test.each(gpuTargets.map((target) => [target.name, target] as const))(
    '%s holds facts that fit each other',
    (_, t) => {
      expect([32, 64]).toContain(t.wave)
      expect(t.maxBlock % t.wave).toBe(0)
      expect(t.ldsBytes).toBeLessThanOrEqual(t.ldsMaxBytes)
      expect(t.ldsMaxBytes).toBeLessThanOrEqual(t.ldsPerCuBytes)
      expect(t.registers!.perWave).toBeLessThanOrEqual(t.registers!.perSimd)
      expect(t.platform === 'nvidia').toBe(t.matrix === 'mma')
      expect(findTarget(t.name)).toEqual(t)
    },
  )

  test('spot values', () => {
    expect(findTarget('gfx942')).toMatchObject({ wave: 64, matrix: 'mfma', cus: 304 })
    expect(findTarget('gfx950')).toMatchObject({ ldsBytes: 160 * 1024 })
    expect(findTarget('gfx1100')).toMatchObject({ wave: 32, matrix: 'wmma11' })
    expect(findTarget('gfx1201')).toMatchObject({ matrix: 'wmma12' })
    expect(findTarget('gfx1010')).toMatchObject({ matrix: 'none' })
    expect(findTarget('sm_90')).toMatchObject({ ldsMaxBytes: 227 * 1024, ldsPerCuBytes: 228 * 1024 })
  })
})

test('somebody reads each fact', () => {
  const facts = new Set(
    [...gpuTargets, hostTarget(), findTarget('gfx942:xnack-')].flatMap((target) => Object.keys(target)),
  )
  const readers = ['codegen', 'runtime', 'src']
    .flatMap((folder) =>
      readdirSync(join(packageRoot(), folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts') && !name.endsWith('targets.ts'))
        .map((name) => readFileSync(join(packageRoot(), folder, name), 'utf8')),
    )
    .join('\n')
  const isRead = (fact: string) =>
    new RegExp(
      `\\b[tT]arget\\??\\.${fact}\\b|\\{[^{}]*\\b${fact}\\b[^{}]*\\}(: Target\\b| = [\\w.]*[tT]arget\\b)`,
    ).test(readers)
  expect([...facts].filter((fact) => !isRead(fact))).toEqual([])
})

describe('names', () => {
  test('print and read back', () => {
    for (const id of [...targetNames, 'gfx90a:sramecc+:xnack-', 'gfx900:xnack+']) {
      expect(targetId(findTarget(id))).toBe(id)
    }
    expect(targetId(findTarget('gfx90a:xnack-:sramecc+'))).toBe('gfx90a:sramecc+:xnack-')
    expect(findTarget('host-wave64')).toEqual(hostTarget({ mode: 'emulate', wave: 64 }))
    expect(hostTarget()).toMatchObject({ wave: 1, maxBlock: 1, mode: 'fast' })
  })

  test('an unknown name is refused with the nearest', () => {
    expect(() => findTarget('gfx110')).toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[unknown-target]: unknown target \`gfx110\`
        nearest gfx1010, gfx1100, gfx1101
        help: give one of the nearest names, or see \`rocmforge devices --targets\` for all of them]
    `)
    for (const name of [
      '',
      'gfx940',
      'GFX1100',
      'gfx11-generic',
      'gfx1100 ',
      'gfx1100\n',
      '../gfx1100',
      'x'.repeat(1e5),
    ]) {
      expect(() => findTarget(name)).toThrow(/unknown target/)
    }
    expect(() => findTargets(' , ')).toThrow(/no target given/)
  })

  test.each([
    'gfx1100:xnack-',
    'gfx90a:xnack',
    'gfx90a:xnack+:xnack-',
    'gfx90a:turbo+',
    'gfx90a:',
    'sm_90:a+',
    'host:x',
  ])('a setting that the target lacks is refused: %s', (id) => expect(() => findTarget(id)).toThrow(/is no setting of/))
})
