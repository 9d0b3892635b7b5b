// What a chat template is given from the command line: tools, variables, the template itself. Read before anything loads.
import { existsSync } from 'node:fs'
import { Diagnostic, fail } from '../../ir/diagnostic.ts'
import { locateFile } from '../loader/model-path.ts'
import { readSmallFile } from '../loader/source-file.ts'
import type { ChatOptions } from '../options.ts'

export interface TemplateFlags {
  readonly tools?: string
  readonly templateVar?: Readonly<Record<string, unknown>>
  readonly chatTemplateKwargs?: Readonly<Record<string, unknown>>
  readonly chatTemplate?: string
}

/** Bytes that a file of tools or a template may have. */
const fileLimit = 4 * 2 ** 20

export function templateSettings(flags: TemplateFlags): ChatOptions {
  const variables = { ...flags.chatTemplateKwargs, ...flags.templateVar }
  return {
    ...(flags.tools === undefined ? {} : { tools: readTools(flags.tools) }),
    ...(flags.chatTemplate === undefined ? {} : { chatTemplate: readTemplate(flags.chatTemplate) }),
    ...(Object.keys(variables).length > 0 ? { chatTemplateKwargs: variables } : {}),
  }
}

/** A file, or Jinja as it is, which is known by its braces. */
function readTemplate(given: string): string {
  if (/\{[{%#]/.test(given)) return given
  if (/^[\w-]+$/.test(given) && !existsSync(given))
    return fail({
      code: 'file-not-found',
      message: `--chat-template names a file with Jinja text, and there is no ${given}`,
      help: 'templates have no names here: save the one that the model’s page shows in a file',
    })
  const text = readSmallFile(locateFile(given), fileLimit).toString('utf8')
  if (text.trim() === '')
    fail({ code: 'bad-option', message: '--chat-template names an empty file', facts: [['file', given]] })
  return text
}

/** A list of tools, one tool, or bare functions: `{ name, description, parameters }`. */
function readTools(given: string): Record<string, unknown>[] {
  const isInline = /^\s*[[{]/.test(given)
  const bytes = isInline ? given : readSmallFile(locateFile(given), fileLimit).toString('utf8')
  const refuse = (got: string): never =>
    fail({
      code: 'bad-tools',
      message: '--tools takes a JSON list of functions',
      facts: [
        ...(isInline ? [] : [['file', given] as const]),
        ['expected', '[{"type": "function", "function": {"name": …, "description": …, "parameters": {…}}}]'],
        ['got', got],
      ],
      help: 'the form is that of the OpenAI API',
    })
  let value: unknown
  try {
    value = JSON.parse(bytes)
  } catch (error) {
    return refuse(error instanceof Error ? error.message.slice(0, 200) : String(error))
  }
  const wrapped = isObject(value) && Array.isArray(value['tools']) ? value['tools'] : value
  const list: unknown[] = Array.isArray(wrapped) ? wrapped : [wrapped]
  return list.map((tool, i) => {
    if (!isObject(tool)) return refuse(`entry ${i} is ${JSON.stringify(tool).slice(0, 60)}`)
    if (typeof tool['name'] === 'string' && !isObject(tool['function'])) return { type: 'function', function: tool }
    if (isObject(tool['function']) && typeof tool['function']['name'] === 'string') return tool
    return refuse(`entry ${i} has no function with a name`)
  })
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const pythonWords: Readonly<Record<string, unknown>> = { True: true, False: false, None: null }

/** `enable_thinking=false`: a value is JSON (or Python's word for it), else text. */
export function templateVariable(given: string, previous: Record<string, unknown> = {}): Record<string, unknown> {
  const [, name, text = ''] = /^([A-Za-z_]\w*)=(.*)$/s.exec(given) ?? []
  if (name === undefined)
    return fail({
      code: 'bad-option',
      message: '--template-var takes NAME=VALUE',
      facts: [['got', given.slice(0, 80)]],
      help: 'such as --template-var enable_thinking=false',
    })
  return { ...previous, [name]: Object.hasOwn(pythonWords, text) ? pythonWords[text] : jsonOr(text) }
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** `{"enable_thinking": false}` */
export function templateVariables(given: string, previous: Record<string, unknown> = {}): Record<string, unknown> {
  const value = jsonOr(given)
  if (!isObject(value))
    throw new Diagnostic({
      code: 'bad-option',
      message: '--chat-template-kwargs takes a JSON object',
      facts: [['got', given.slice(0, 80)]],
      help: 'such as --chat-template-kwargs \'{"enable_thinking": false}\', or --template-var enable_thinking=false',
    })
  return { ...previous, ...value }
}
