// Flattening: each header once, errors at the template's own lines, the same text every time.
import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { emitSource, listTemplates, templateText } from '../../codegen/source.ts'

const emit = (text: string, headers: Record<string, string> = {}, defines = {}): string =>
  emitSource({ template: 'a.hip', defines, headers: { 'a.hip': text, ...headers } })

describe('emitSource', () => {
  test('puts defines in name order, and includes in their place with line markers', () => {
    const headers = { 'x.h': '#pragma once\n#include "y.h"\nint x;\n', 'y.h': 'int y;\n' }
    expect(emit('// a\n#include "x.h"\n#include "y.h"\nint a;\n', headers, { P_B: 'f16_t', P_A: 3 })).toBe(
      [
        '#define P_A 3',
        '#define P_B f16_t',
        '#line 1 "hip-templates/a.hip"',
        '// a',
        '#line 1 "hip-templates/x.h"',
        '',
        '#line 1 "hip-templates/y.h"',
        'int y;',
        '#line 3 "hip-templates/x.h"',
        'int x;',
        '#line 3 "hip-templates/a.hip"',
        '',
        'int a;',
        '',
      ].join('\n'),
    )
  })

  test('numbers the lines behind an include that a compiler skips', () => {
    const text = '#ifdef A\n#include "x.h"\n#else\nint a;\n#endif\n#if B\n#endif\nint b;\n'
    expect(emit(text, { 'x.h': 'int x;\n' }).split('\n')).toEqual([
      '#line 1 "hip-templates/a.hip"',
      '#ifdef A',
      '#line 1 "hip-templates/x.h"',
      'int x;',
      '#line 3 "hip-templates/a.hip"',
      '#else',
      '#line 4 "hip-templates/a.hip"',
      'int a;',
      '#endif',
      '#line 6 "hip-templates/a.hip"',
      '#if B',
      '#endif',
      'int b;',
      '',
    ])
  })

  test('headers that include each other end', () => {
    const text = emit('#include "x.h"\n', { 'x.h': '#include "y.h"\nint x;\n', 'y.h': '#include "x.h"\nint y;\n' })
    expect(text.match(/int [xy];/g)).toEqual(['int y;', 'int x;'])
  })

  test('a fraction is an f32 literal, a whole number is not', () => {
    const text = emit('', {}, { P_EPS: 1e-5, P_SMALL: 1e-7, P_N: 4096, P_ON: true })
    expect(text).toContain('#define P_EPS 0.00001f\n#define P_N 4096\n#define P_ON 1\n#define P_SMALL 1e-7f\n')
  })

  test('the order of the request does not matter', () => {
    expect(emit('int a;', {}, { P_B: 1, P_A: 2 })).toBe(emit('int a;', {}, { P_A: 2, P_B: 1 }))
  })

  test('says where an include is that does not exist', () => {
    expect(() => emit('\n#include "prelude/none.h"\n')).toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[no-template]: there is no hip-templates/prelude/none.h
        at     hip-templates/a.hip:2
        help: paths are relative to hip-templates/, and to the folder of a template of your own]
    `)
  })

  test('refuses system headers', () => {
    expect(() => emit('#include <math.h>\n')).toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[no-template]: a template includes the system header <math.h>
        at     hip-templates/a.hip:1
        help: run-time compilers have no system headers: use what prelude/ offers, or declare the function yourself]
    `)
  })

  test('compilers name the line of the template', (context) => {
    const source = emit('#include "prelude/base.h"\n\nint wrong = undeclared;\n')
    try {
      execFileSync('g++', ['-std=c++17', '-fsyntax-only', '-x', 'c++', '-'], { input: source, stdio: 'pipe' })
    } catch (error) {
      const { code, stderr } = error as { code?: string; stderr?: Buffer }
      if (code === 'ENOENT') return context.skip('no g++ on this machine')
      return expect(String(stderr)).toContain('hip-templates/a.hip:3')
    }
    expect.fail('compiled')
  })
})

describe('templates', () => {
  test('are listed by path, and each flattens', () => {
    const templates = listTemplates()
    expect(templates).toEqual([...templates].sort())
    for (const template of templates) {
      expect(template).toMatch(/^[a-z0-9_/]+\.hip$/)
      const text = emitSource({ template, defines: {} })
      expect(text).not.toMatch(/^\s*#\s*include/m)
      expect(text).toContain(`#line 1 "hip-templates/${template}"`)
    }
  })

  test('name no platform: that is the prelude’s part', () => {
    const vendor = /__HIP|__CUDA|__AMDGCN|__gfx|__GFX|ON_AMD|ON_NVIDIA|ON_HOST|HIPHOST|hiphost/
    for (const template of listTemplates()) expect(templateText(template), template).not.toMatch(vendor)
  })
})
