// What g++ and clang say about a kernel, as the user's error: the template's line first, then what it was compiled with
// and how to see it again. #line markers in the flattened source make the compilers name the template's own lines.
import { join, resolve } from 'node:path'
import { Diagnostic, type Fact } from '../../ir/diagnostic.ts'
import { packageRoot } from '../../ir/package-root.ts'

interface CompileFailure {
  readonly template: string
  /** `gcc 12.2.0` */
  readonly compiler: string
  /** standard error */
  readonly output: string
  /** `was stopped after 180 s`; empty when it reported errors by itself */
  readonly outcome: string
  /** of the request; those that stand at the head of the source are added */
  readonly defines: readonly string[]
  readonly source: string
  /** program and flags, without defines, input and output */
  readonly command: readonly string[]
  readonly link: readonly string[]
}

const errorLine = /^(.+?):(\d+):(?:(\d+):)? (?:fatal )?error: (.*)$/
const shown = 3

/** The first errors of a log as `file:line:column message`; linker complaints and the like are taken as they are. */
export function compilerErrors(output: string): string[] {
  const lines = output.split('\n')
  const errors = lines.flatMap((line) => {
    const [, file, row, column, message] = errorLine.exec(line) ?? []
    return file ? [`${file}:${row}${column ? `:${column}` : ''} ${message}`] : []
  })
  if (errors.length > 0) return errors
  const undefinedNames = lines.flatMap((line) => /undefined reference to [`'](.+)'/.exec(line)?.[1] ?? [])
  if (undefinedNames.length > 0) return [...new Set(undefinedNames)].map((name) => `nothing defines ${name}`)
  const rest = lines.filter((line) => line.trim() !== '')
  return rest.slice(0, shown)
}

/** `#define P_BLOCK 1` at the head of a flattened source, as `P_BLOCK=1`. */
function headDefines(source: string): string[] {
  const names: string[] = []
  for (const line of source.split('\n')) {
    const [, name, value] = /^#define (\w+)(?: (.*))?$/.exec(line) ?? []
    if (!name) break
    names.push(value ? `${name}=${value}` : name)
  }
  return names
}

const quote = (word: string) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)

export function kernelCompileError(failure: CompileFailure): Diagnostic {
  const errors = compilerErrors(failure.output)
  const templates = join(packageRoot(), 'hip-templates')
  const defines = [...headDefines(failure.source), ...failure.defines].map((text) => `-D${text}`)
  const input = ['-I', templates, '-x', 'c++', resolve(templates, failure.template)]
  const command = [...failure.command, ...defines, ...input, '-o', 'kernel.so', ...failure.link]
  const facts: Fact[] = [
    ...errors.slice(0, shown).map((text) => ['at', text] as const),
    ...(errors.length > shown ? [['', `and ${errors.length - shown} more`] as const] : []),
    ['with', defines.map(quote).join(' ') || 'no defines'],
    ['command', command.map(quote).join(' ')],
  ]
  return new Diagnostic({
    code: 'kernel-compile',
    message: `${failure.compiler} ${failure.outcome || 'cannot compile'} ${failure.outcome ? 'on ' : ''}${failure.template}`,
    facts,
    help: failure.outcome
      ? 'run the command to see where it stands, or choose another compiler with ROCMFORGE_CXX'
      : 'mend the line named above; the command compiles the template alone',
  })
}
