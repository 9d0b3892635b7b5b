// KernelSource → text: a template, its defines and every header it includes, as one source that needs no other file.
// hipRTC, NVRTC and the host's C++ compiler all read this text. #line markers give their errors the template's own lines.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, sep } from 'node:path'
import { fail, invariant } from '../ir/diagnostic.ts'
import { packageRoot } from '../ir/package-root.ts'
import type { Defines } from './kernel.ts'

interface SourceRequest {
  /** path inside hip-templates/, `norm/rms_norm.hip`; or the absolute path of a template of the user's own */
  readonly template: string
  readonly defines: Defines
  /** generated headers by the name that templates include; they take the place of files */
  readonly headers?: Readonly<Record<string, string>>
}

/** Where templates lie; compilers' messages name files below it. */
const folder = 'hip-templates'
const cache = new Map<string, string>()
/** our templates with their includes in place: the same under any defines. Those of users are read anew: they are edited */
const flattened = new Map<string, string>()

/**
 * One self-contained source text; equal requests give equal texts. Each header appears once, where it was first
 * included. Throws the Diagnostic `no-template` for a template or header that does not exist.
 */
export function emitSource({ template, defines, headers }: SourceRequest): string {
  const names = Object.keys(defines).sort()
  const lines = names.map((name) => `#define ${name} ${defineValue(name, defines[name]!)}`)
  const keeps = !headers && !isOwnTemplate(template)
  let body = keeps ? flattened.get(template) : undefined
  if (body === undefined) {
    body = flatten(template, headers ?? {})
    if (keeps) flattened.set(template, body)
  }
  return [...lines, body].join('\n')
}

/** Is this a file of the user's own, not one of hip-templates/? */
export const isOwnTemplate = (template: string): boolean => isAbsolute(template)

function flatten(template: string, headers: Readonly<Record<string, string>>): string {
  const lines: string[] = []
  inline(openTemplate(template, headers), headers, new Set(), lines)
  return `${lines.join('\n')}\n`
}

/** The text of a template with the headers of its own folder in place, without those of hip-templates/. */
export function ownTextOf(template: string): string {
  const lines: string[] = []
  inline(openTemplate(template, {}), {}, new Set(), lines, (file) => !isOwnTemplate(file.path))
  return `${lines.join('\n')}\n`
}

/** A template without the prelude, as part of a text that has it: other headers in place, and what of the prelude it needs. */
interface Body {
  readonly text: string
  /** `prelude/block.h`, as included, in order */
  readonly prelude: readonly string[]
}

const bodies = new Map<string, Body>()

export function bodyOf(template: string): Body {
  const known = bodies.get(template)
  if (known) return known
  const prelude: string[] = []
  const lines: string[] = []
  inline(openTemplate(template, {}), {}, new Set(), lines, ({ path }) => {
    if (!path.startsWith('prelude/')) return false
    prelude.push(path)
    return true
  })
  const body = { text: `${lines.join('\n')}\n`, prelude }
  if (!isOwnTemplate(template)) bodies.set(template, body)
  return body
}

/** Paths of all templates (`.hip`) inside hip-templates/, sorted. */
export function listTemplates(): string[] {
  const root = join(packageRoot(), folder)
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.hip'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort()
}

/** The text of a template or header file of ours, read once a process. */
export function templateText(path: string): string {
  return textOf(path, path)
}

/**
 * A define as C++ reads it: text and whole numbers as they are, a fraction as an f32 literal, so that no template
 * computes in f64 by accident.
 */
export function defineValue(name: string, value: string | number | boolean): string {
  if (typeof value === 'boolean') return value ? '1' : '0'
  if (typeof value === 'string' || Number.isInteger(value)) return String(value)
  invariant(Number.isFinite(value), `${name} is ${value}, which no literal can say`)
  return `${value}f`
}

const include = /^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)/
const pragmaOnce = /^\s*#\s*pragma\s+once\b/
const conditional = /^\s*#\s*(if|elif|else|endif)/

/** A file of a source. */
interface SourceFile {
  /** below hip-templates/; absolute where it is the user's own */
  readonly path: string
  /** what #line markers call it. Of a user's own the path from the template's folder: a text is the same wherever it lies */
  readonly shown: string
  readonly text: string
}

function openTemplate(template: string, headers: Readonly<Record<string, string>>): SourceFile {
  if (!isOwnTemplate(template)) return openOurs(template, headers, template)
  try {
    return openOwn(template, dirname(template))
  } catch (error) {
    return fail(
      {
        code: 'no-template',
        message: `there is no template ${template}`,
        help: "give its absolute path, or new URL('./name.hip', import.meta.url)",
      },
      error,
    )
  }
}

const openOurs = (path: string, headers: Readonly<Record<string, string>>, at: string): SourceFile => ({
  path,
  shown: `${folder}/${path}`,
  text: headers[path] ?? textOf(path, at),
})

const openOwn = (path: string, root: string): SourceFile => ({
  path,
  shown: relative(root, path).split(sep).join('/'),
  text: readFileSync(path, 'utf8').replaceAll('\r\n', '\n'),
})

/** What an include names: a header beside the user's own file that includes it, or one of hip-templates/. */
function included(
  name: string,
  from: SourceFile,
  root: string | undefined,
  headers: Readonly<Record<string, string>>,
  at: string,
): SourceFile {
  if (root !== undefined && isOwnTemplate(from.path) && !name.startsWith('prelude/')) {
    const path = join(dirname(from.path), ...name.split('/'))
    if (statSync(path, { throwIfNoEntry: false })?.isFile()) return openOwn(path, root)
  }
  return openOurs(name, headers, at)
}

function inline(
  file: SourceFile,
  headers: Readonly<Record<string, string>>,
  seen: Set<string>,
  out: string[],
  /** true: the header is not wanted here */
  elsewhere: (file: SourceFile) => boolean = () => false,
  /** folder of the user's own template */
  root = isOwnTemplate(file.path) ? dirname(file.path) : undefined,
): void {
  const { path, shown, text } = file
  const marker = (line: number): string => `#line ${line} "${shown}"`
  seen.add(path)
  out.push(marker(1))
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  /** of each condition that is open: whether it has an include, whose markers a compiler that skips it does not see */
  const open: boolean[] = []
  for (const [i, line] of lines.entries()) {
    const found = include.exec(line)
    const at = `${shown}:${i + 1}`
    if (!found) {
      out.push(pragmaOnce.test(line) ? '' : line) // kept as an empty line: the numbering stays
      const condition = conditional.exec(line)?.[1]
      if (condition === 'if') open.push(false)
      else if (condition && (condition === 'endif' ? open.pop() : open.at(-1))) out.push(marker(i + 2))
      continue
    }
    if (found[2] !== undefined)
      fail({
        code: 'no-template',
        message: `a template includes the system header <${found[2]}>`,
        facts: [['at', at]],
        help: 'run-time compilers have no system headers: use what prelude/ offers, or declare the function yourself',
      })
    const header = root === undefined && seen.has(found[1]!) ? undefined : included(found[1]!, file, root, headers, at)
    if (!header || seen.has(header.path) || elsewhere(header)) {
      out.push('')
    } else {
      inline(header, headers, seen, out, elsewhere, root)
      out.push(marker(i + 2))
      open.fill(true)
    }
  }
}

function textOf(path: string, at: string): string {
  let text = cache.get(path)
  if (text === undefined) {
    try {
      text = readFileSync(join(packageRoot(), folder, ...path.split('/')), 'utf8').replaceAll('\r\n', '\n')
    } catch (error) {
      fail(
        {
          code: 'no-template',
          message: `there is no ${folder}/${path}`,
          facts: path === at ? [] : [['at', at]],
          help: 'paths are relative to hip-templates/, and to the folder of a template of your own',
        },
        error,
      )
    }
    cache.set(path, text)
  }
  return text
}
