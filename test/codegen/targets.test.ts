import { describe, expect, test } from 'vitest'
import { findTarget, findTargets, gpuTargets, hostTarget, targetNames } from '../../codegen/targets.ts'
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
    expect(findTarget('gfx942')).toMatchObject({ wave: 64, matrix: 'mfma', fp8: 'fnuz', int8Dot: 'sdot4', cus: 304 })
    expect(findTarget('gfx950')).toMatchObject({ ldsBytes: 160 * 1024, fp8: 'ocp', dot2: { f16: true, bf16: true } })
    expect(findTarget('gfx1100')).toMatchObject({ wave: 32, matrix: 'wmma11', int8Dot: 'sudot4', fp8: 'none' })
    expect(findTarget('gfx1201')).toMatchObject({ matrix: 'wmma12', fp8: 'ocp' })
    expect(findTarget('gfx1010')).toMatchObject({ int8Dot: 'none', matrix: 'none' })
    expect(findTarget('sm_90')).toMatchObject({ ldsMaxBytes: 227 * 1024, ldsPerCuBytes: 228 * 1024 })
  })
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
