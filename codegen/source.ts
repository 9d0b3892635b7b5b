// KernelSource → text: a template, its defines and every header it includes, as one source that needs no other file.
// hipRTC, NVRTC and the host's C++ compiler all read this text. #line markers give their errors the template's own lines.
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fail, invariant } from '../ir/diagnostic.ts'
import { packageRoot } from '../ir/package-root.ts'
import type { Defines } from './kernel.ts'

export interface SourceRequest {
  /** path inside hip-templates/: `norm/rms_norm.hip` */
  readonly template: string
  readonly defines: Defines
  /** generated headers by the name that templates include; they take the place of files */
  readonly headers?: Readonly<Record<string, string>>
}

/** Where templates lie; compilers' messages name files below it. */
const folder = 'hip-templates'
const cache = new Map<string, string>()
/** templates with their includes in place: the same under any defines */
const flattened = new Map<string, string>()

/**
 * One self-contained source text; equal requests give equal texts. Each header appears once, where it was first
 * included. Throws the Diagnostic `no-template` for a template or header that does not exist.
 */
export function emitSource({ template, defines, headers }: SourceRequest): string {
  const names = Object.keys(defines).sort()
  const lines = names.map((name) => `#define ${name} ${defineValue(name, defines[name]!)}`)
  let body = headers ? undefined : flattened.get(template)
  if (body === undefined) {
    body = flatten(template, headers ?? {})
    if (!headers) flattened.set(template, body)
  }
  return [...lines, body].join('\n')
}

function flatten(template: string, headers: Readonly<Record<string, string>>): string {
  const lines: string[] = []
  inline(template, textOf(template, headers, template), headers, new Set(), lines)
  return `${lines.join('\n')}\n`
}

/** A template without the prelude, as part of a text that has it: other headers in place, and what of the prelude it needs. */
export interface Body {
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
  inline(template, textOf(template, {}, template), {}, new Set(), lines, (path) => {
    if (!path.startsWith('prelude/')) return false
    prelude.push(path)
    return true
  })
  const body = { text: `${lines.join('\n')}\n`, prelude }
  bodies.set(template, body)
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

/** The text of a template or header file, read once a process. */
export function templateText(path: string): string {
  return textOf(path, {}, path)
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

function inline(
  path: string,
  text: string,
  headers: Readonly<Record<string, string>>,
  seen: Set<string>,
  out: string[],
  /** true: the header is not wanted here */
  elsewhere: (path: string) => boolean = () => false,
): void {
  seen.add(path)
  out.push(marker(1, path))
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  /** of each condition that is open: whether it has an include, whose markers a compiler that skips it does not see */
  const open: boolean[] = []
  for (const [i, line] of lines.entries()) {
    const found = include.exec(line)
    const at = `${folder}/${path}:${i + 1}`
    if (!found) {
      out.push(pragmaOnce.test(line) ? '' : line) // kept as an empty line: the numbering stays
      const condition = conditional.exec(line)?.[1]
      if (condition === 'if') open.push(false)
      else if (condition && (condition === 'endif' ? open.pop() : open.at(-1))) out.push(marker(i + 2, path))
    } else if (found[2] !== undefined) {
      fail({
        code: 'no-template',
        message: `a template includes the system header <${found[2]}>`,
        facts: [['at', at]],
        help: 'run-time compilers have no system headers: use what prelude/ offers, or declare the function yourself',
      })
    } else if (seen.has(found[1]!) || elsewhere(found[1]!)) {
      out.push('')
    } else {
      inline(found[1]!, textOf(found[1]!, headers, at), headers, seen, out, elsewhere)
      out.push(marker(i + 2, path))
      open.fill(true)
    }
  }
}

const marker = (line: number, path: string): string => `#line ${line} "${folder}/${path}"`

function textOf(path: string, headers: Readonly<Record<string, string>>, at: string): string {
  const generated = headers[path]
  if (generated !== undefined) return generated
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
          help: 'paths are relative to hip-templates/; `listTemplates()` in codegen/source.ts names all templates',
        },
        error,
      )
    }
    cache.set(path, text)
  }
  return text
}
