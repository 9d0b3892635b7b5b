// docs/script-api.md tells of every option in the words of its schema, and of everything that is exported.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { packageRoot } from '../../ir/package-root.ts'
import { buildOptions } from '../../src/api/build.ts'
import * as api from '../../src/index.ts'
import { chatOptions, compileOptions, generateOptions, logitsOptions } from '../../src/options.ts'

const page = readFileSync(join(packageRoot(), 'docs/script-api.md'), 'utf8')

const shapes = [compileOptions, generateOptions, chatOptions, logitsOptions].flatMap(({ shape }) =>
  Object.entries(shape),
)

test.each(shapes)('option %s', (name, { description }) => expect(page).toContain(`| \`${name}\` | ${description} |`))

const ofBuild = ['targets', 'maxBatch', 'out', 'saveTemps', 'onTargets', 'onKernels', 'signal'] as const
test.each(ofBuild)('option %s of build', (name) =>
  expect(page).toContain(`| \`${name}\` | ${buildOptions.shape[name].description} |`),
)

test.each(Object.keys(api).filter((name) => !['Generation', 'Model', 'openDevice', 'state'].includes(name)))(
  'export %s',
  (name) => expect(page).toContain(name),
)
