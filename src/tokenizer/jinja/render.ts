// Renders a template: `renderTemplate` is all that the rest of the program knows of this folder.

import type { BlockStatement, Escape, ForStatement, IfStatement, MacroBody, Statement, Target } from './ast.ts'
import { type BoundTemplate, bindTemplate } from './bind.ts'
import { iterate, unpack } from './compare.ts'
import { toValue } from './convert.ts'
import { raise, TemplateError, TooDeep, TooLarge, typeError } from './errors.ts'
import { call, evaluate, evaluateArguments } from './evaluate.ts'
import { globalsAt, Refusal } from './globals.ts'
import { LoopContext } from './loop.ts'
import { makeMacro } from './macro.ts'
import { escapeHtml } from './markup.ts'
import { parseTemplate } from './parser.ts'
import { str } from './repr.ts'
import { Frame, State } from './state.ts'
import {
  Callable,
  Generator,
  isString,
  Markup,
  Namespace,
  Tuple,
  textOf,
  truthy,
  typeName,
  Undefined,
  type Value,
} from './values.ts'

interface RenderOptions {
  /** what strftime_now shows */
  readonly now?: Date
  /** characters that the output may have */
  readonly maxOutput?: number
}

/**
 * What jinja2 renders in the environment that transformers gives to chat templates. Throws TemplateError, Refusal (the
 * template called raise_exception), TooLarge and TooDeep, with the line of the template where there is one.
 */
export function renderTemplate(
  source: string,
  variables: Readonly<Record<string, unknown>>,
  { now = new Date(), maxOutput = Number.POSITIVE_INFINITY }: RenderOptions = {},
): string {
  try {
    const template = bindTemplate(parseTemplate(source))
    const given = new Map([...globalsAt(now), ...Object.entries(variables).map(([k, v]) => [k, toValue(v)] as const)])
    return new Renderer(template, new State(given), maxOutput).render()
  } catch (error) {
    if (error instanceof RangeError && /call stack/.test(error.message)) throw new TooDeep()
    throw error
  }
}

/** How a statement ends. */
type Completion = 'normal' | 'break' | 'continue'

class Renderer {
  readonly #template: BoundTemplate
  readonly #state: State
  readonly #maxOutput: number
  #buffer = ''
  /** output that is no text: an error once the output is put together */
  #notText: TemplateError | undefined

  constructor(template: BoundTemplate, state: State, maxOutput: number) {
    this.#template = template
    this.#state = state
    this.#maxOutput = maxOutput
  }

  render(): string {
    const { body, scope } = this.#template
    const root = new Frame(scope, undefined, this.#state)
    if (root.values.has('self')) root.values.set('self', this.#self())
    this.#runAll(body, root, true)
    if (this.#notText) throw this.#notText
    return this.#buffer
  }

  #write(text: string): void {
    this.#buffer += text
    if (this.#buffer.length > this.#maxOutput) throw new TooLarge(`${this.#buffer.length} characters`)
  }

  /** What a call or a filter of a block gives for output. */
  #writeText(value: Value): void {
    if (isString(value)) this.#write(textOf(value))
    else {
      const message = `sequence item 0: expected str instance, ${typeName(value)} found`
      this.#notText ??= new TemplateError('TypeError', message)
    }
  }

  #captured(run: () => void): string {
    const [before, notText] = [this.#buffer, this.#notText]
    this.#buffer = ''
    this.#notText = undefined
    run()
    if (this.#notText) throw this.#notText
    const text = this.#buffer
    this.#buffer = before // an error ends the rendering: nothing to restore then
    this.#notText = notText
    return text
  }

  /** `root`: what is assigned is seen by blocks. */
  #runAll(statements: readonly Statement[], frame: Frame, root: boolean): Completion {
    for (const statement of statements) {
      const completion = this.#run(statement, frame, root)
      if (completion !== 'normal') return completion
    }
    return 'normal'
  }

  #run(statement: Statement, frame: Frame, root: boolean): Completion {
    if (statement.kind === 'data') {
      this.#write(statement.text)
      return 'normal'
    }
    return located(statement.line, () => this.#runTag(statement, frame, root))
  }

  #runTag(statement: Exclude<Statement, { kind: 'data' }>, frame: Frame, root: boolean): Completion {
    const state = this.#state
    switch (statement.kind) {
      case 'output': {
        const value = evaluate(statement.node, frame, state)
        this.#write(this.#escapes(statement.escape) ? escapeHtml(value).text : str(value))
        return 'normal'
      }
      case 'if': {
        const holds = ({ test, line }: IfStatement) => located(line, () => truthy(evaluate(test, frame, state)))
        const branch = [statement, ...statement.elifs].find(holds)
        return this.#runAll(branch?.body ?? statement.otherwise, frame, root)
      }
      case 'for':
        return this.#for(statement, frame)
      case 'set': {
        this.#checkNamespaces(statement.target, frame)
        this.#assign(statement.target, evaluate(statement.value, frame, state), frame, root)
        return 'normal'
      }
      case 'setblock': {
        const inner = new Frame(statement.scope!, frame, state)
        let completion: Completion = 'normal'
        const text = this.#captured(() => {
          completion = this.#runAll(statement.body, inner, false)
        })
        if (completion !== 'normal') return completion
        this.#checkNamespaces(statement.target, frame)
        const block = this.#escapes(statement.escape) ? new Markup(text) : text
        const value = statement.filter === undefined ? text : evaluate(statement.filter, inner, state, block)
        this.#assign(statement.target, state.autoescape ? new Markup(str(value)) : value, frame, root)
        return 'normal'
      }
      case 'macro': {
        const macro = this.#macro(statement, statement.name, frame)
        frame.values.set(statement.name, macro)
        if (root) state.export(statement.name, macro)
        return 'normal'
      }
      case 'call': {
        const caller = this.#macro(statement, undefined, frame)
        const callee = evaluate(statement.call.node, frame, state)
        const { args, kwargs } = evaluateArguments(statement.call.args, frame, state, typeName(callee))
        if (kwargs.has('caller')) typeError("got multiple values for keyword argument 'caller'")
        this.#writeText(call(callee, args, new Map([...kwargs, ['caller', caller]])))
        return 'normal'
      }
      case 'generation':
        this.#writeText(call(this.#macro(statement, undefined, frame), [], new Map()))
        return 'normal'
      case 'filter': {
        const inner = new Frame(statement.scope!, frame, state)
        let completion: Completion = 'normal'
        const text = this.#captured(() => {
          completion = this.#runAll(statement.body, inner, false)
        })
        if (completion !== 'normal') return completion
        const block = this.#escapes(statement.escape) ? new Markup(text) : text
        this.#writeText(evaluate(statement.filter, inner, state, block))
        return 'normal'
      }
      case 'with': {
        const inner = new Frame(statement.scope!, frame, state)
        statement.targets.forEach((target, index) => {
          this.#assign(target, evaluate(statement.values[index]!, frame, state), inner, false)
        })
        return this.#runAll(statement.body, inner, false)
      }
      case 'autoescape': {
        const inner = new Frame(statement.scope!, frame, state)
        const on = truthy(evaluate(statement.value, inner, state))
        return state.withEscape(on, () => this.#runAll(statement.body, inner, false))
      }
      case 'block':
        this.#block(statement, frame)
        return 'normal'
      case 'load': {
        const template = evaluate(statement.template, frame, state)
        if (template instanceof Undefined) raise(template.exception, template.message)
        return typeError('no loader for this environment specified')
      }
      case 'break':
      case 'continue':
        return statement.kind
    }
  }

  #escapes(mode: Escape): boolean {
    return mode === 'volatile' ? this.#state.autoescape : mode
  }

  #checkNamespaces(target: Target, frame: Frame): void {
    if (target.kind === 'nsref' && !(frame.up(target.hops).values.get(target.name) instanceof Namespace)) {
      raise('TemplateRuntimeError', 'cannot assign attribute on non-namespace object')
    }
    if (target.kind === 'tuple') for (const item of target.items) this.#checkNamespaces(item as Target, frame)
  }

  #assign(target: Target, value: Value, frame: Frame, root: boolean): void {
    if (target.kind === 'name') {
      frame.values.set(target.name, value)
      if (root) this.#state.export(target.name, value)
    } else if (target.kind === 'nsref') {
      const holder = frame.up(target.hops).values.get(target.name) as Namespace
      holder.attributes.set(target.attr, value)
    } else {
      const values = unpack(value, target.items.length)
      for (const [index, item] of target.items.entries()) this.#assign(item as Target, values[index]!, frame, root)
    }
  }

  #for(statement: ForStatement, frame: Frame): Completion {
    const state = this.#state
    const items = evaluate(statement.iter, frame, state)
    if (!statement.recursive) return this.#loop(statement, frame, items, 0)
    const render = (inner: Value, depth0: number): Value => {
      const text = state.enterCall(() => this.#captured(() => void this.#loop(statement, frame, inner, depth0, render)))
      return this.#escapes(statement.escape) ? new Markup(text) : text
    }
    this.#writeText(render(items, 0))
    return 'normal'
  }

  #loop(
    statement: ForStatement,
    frame: Frame,
    items: Value,
    depth0: number,
    recurse?: (items: Value, depth0: number) => Value,
  ): Completion {
    const state = this.#state
    const picked = statement.test === undefined ? items : new Generator(this.#filtered(statement, frame, items))
    const loop = new LoopContext(picked, iterate(picked), recurse, depth0)
    let completed = false
    for (let next = loop.next(); !next.done; next = loop.next()) {
      const inner = new Frame(statement.bodyScope!, frame, state)
      inner.values.set('loop', loop)
      this.#assign(statement.target, next.value, inner, false)
      const completion = this.#runAll(statement.body, inner, false)
      if (completion === 'break') break
      if (completion === 'normal') completed = true
    }
    // As in jinja2, whose loops note only iterations that ran to their end.
    if (completed || statement.otherwise.length === 0) return 'normal'
    return this.#runAll(statement.otherwise, new Frame(statement.elseScope!, frame, state), false)
  }

  *#filtered(statement: ForStatement, frame: Frame, items: Value): globalThis.Generator<Value> {
    const inner = new Frame(statement.testScope!, frame, this.#state)
    const iterator = iterate(items)
    for (let next = iterator.next(); !next.done; next = iterator.next()) {
      this.#assign(statement.target, next.value, inner, false)
      if (truthy(evaluate(statement.test!, inner, this.#state))) yield repacked(statement.target, inner)
    }
  }

  #macro(body: MacroBody, name: string | undefined, frame: Frame): Callable {
    const { params, defaults } = body
    return makeMacro(
      { ...body, name },
      (args) =>
        this.#state.enterCall(() =>
          this.#captured(() => {
            const inner = new Frame(body.scope!, frame, this.#state)
            for (const [param, value] of args) inner.values.set(param, value)
            params.forEach((param, index) => {
              if (inner.values.get(param) !== undefined) return
              const value = defaults[index - (params.length - defaults.length)]
              const missing = new Undefined(() => `parameter '${param}' was not provided`)
              inner.values.set(param, value === undefined ? missing : evaluate(value, inner, this.#state))
            })
            this.#runAll(body.body, inner, false)
          }),
        ),
      () => this.#state.autoescape,
    )
  }

  #block(block: BlockStatement, frame: Frame): void {
    if (block.required) raise('TemplateRuntimeError', `Required block '${block.name}' not found`)
    if (!block.scoped) {
      this.#runBlock(block)
      return
    }
    const locals = new Map<string, Value>()
    for (let each: Frame | undefined = frame; each !== undefined; each = each.parent) {
      for (const [name, value] of each.values) if (value !== undefined && !locals.has(name)) locals.set(name, value)
    }
    this.#state.withLocals(locals, () => this.#runBlock(block))
  }

  #runBlock(block: BlockStatement): void {
    this.#state.enterCall(() => {
      const inner = new Frame(block.scope!, undefined, this.#state)
      if (inner.values.has('self')) inner.values.set('self', this.#self())
      if (block.scope!.loads.get('super')?.from === 'parameter') {
        inner.values.set('super', new Undefined(() => `there is no parent block called '${block.name}'.`))
      }
      this.#runAll(block.body, inner, false)
    })
  }

  /** The variable `self`: blocks by name, to render again. */
  #self(): Value {
    const blocks = [...this.#template.blocks.values()].map((block) => {
      const reference = new Callable('<jinja2.runtime.BlockReference object at ADDRESS>', () => {
        const text = this.#captured(() => this.#runBlock(block))
        return this.#state.autoescape ? new Markup(text) : text
      })
      return [block.name, () => reference] as const
    })
    return new Callable('<TemplateReference None>', () => typeError("'TemplateReference' object is not callable"), {
      ...{ typeName: 'TemplateReference', module: 'jinja2.runtime.' },
      attributes: Object.fromEntries(blocks),
    })
  }
}

/** Errors of what runs get the line, unless they have one of further inside. */
function located<T>(line: number, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (isOfTemplate(error)) error.line ??= line
    throw error
  }
}

const isOfTemplate = (error: unknown): error is TemplateError | TooLarge | TooDeep | Refusal =>
  error instanceof TemplateError || error instanceof TooLarge || error instanceof TooDeep || error instanceof Refusal

/** The value of a target that was assigned. */
function repacked(target: Target, frame: Frame): Value {
  if (target.kind === 'tuple') return new Tuple(target.items.map((item) => repacked(item as Target, frame)))
  return frame.values.get(target.name)!
}
