// Expressions of a template, by jinja2's precedence: if-else, or, and, not, comparisons, + -, ~, * / // %, **, unary.
import type { Arguments, BinaryOp, CallExpr, CompareOp, Expr, FilterExpr, Target } from './ast.ts'
import { syntaxError } from './errors.ts'
import { describe, type TokenStream } from './token-stream.ts'

const COMPARISONS: readonly string[] = ['==', '!=', '<', '<=', '>', '>=']
const NO_ARGUMENTS: Arguments = { args: [], kwargs: [], star: undefined, doubleStar: undefined }

export class ExpressionParser {
  readonly stream: TokenStream

  constructor(stream: TokenStream) {
    this.stream = stream
  }

  expression(withCondition = true): Expr {
    return this.stream.nested(() => (withCondition ? this.#condition() : this.#or()))
  }

  #condition(): Expr {
    let line = this.stream.line
    let expr = this.#or()
    while (this.stream.skipName('if')) {
      const test = this.#or()
      const otherwise = this.stream.skipName('else') ? this.stream.nested(() => this.#condition()) : undefined
      expr = { kind: 'cond', line, test, value: expr, otherwise }
      line = this.stream.line
    }
    return expr
  }

  #or(): Expr {
    let line = this.stream.line
    let left = this.#and()
    while (this.stream.skipName('or')) {
      left = { kind: 'logic', line, op: 'or', left, right: this.#and() }
      line = this.stream.line
    }
    return left
  }

  #and(): Expr {
    let line = this.stream.line
    let left = this.#not()
    while (this.stream.skipName('and')) {
      left = { kind: 'logic', line, op: 'and', left, right: this.#not() }
      line = this.stream.line
    }
    return left
  }

  #not(): Expr {
    if (!this.stream.isName('not')) return this.#compare()
    const { line } = this.stream.next()
    return { kind: 'unary', line, op: 'not', node: this.stream.nested(() => this.#not()) }
  }

  #compare(): Expr {
    let line = this.stream.line
    const first = this.#sum()
    const rest: [CompareOp, Expr][] = []
    for (;;) {
      if (this.stream.isOperator(...COMPARISONS)) {
        rest.push([this.stream.next().text as CompareOp, this.#sum()])
      } else if (this.stream.skipName('in')) rest.push(['in', this.#sum()])
      else if (this.stream.isName('not') && this.stream.after.type === 'name' && this.stream.after.text === 'in') {
        this.stream.next()
        this.stream.next()
        rest.push(['not in', this.#sum()])
      } else break
      line = this.stream.line
    }
    return rest.length === 0 ? first : { kind: 'compare', line, first, rest }
  }

  #binary(operators: readonly BinaryOp[], operand: () => Expr): Expr {
    let line = this.stream.line
    let left = operand()
    while (this.stream.isOperator(...operators)) {
      const op = this.stream.next().text as BinaryOp
      left = { kind: 'binary', line, op, left, right: operand() }
      line = this.stream.line
    }
    return left
  }

  #sum(): Expr {
    return this.#binary(['+', '-'], () => this.#concat())
  }

  #concat(): Expr {
    const line = this.stream.line
    const items = [this.#product()]
    while (this.stream.skipOperator('~')) items.push(this.#product())
    return items.length === 1 ? items[0]! : { kind: 'concat', line, items, escape: false }
  }

  #product(): Expr {
    return this.#binary(['*', '/', '//', '%'], () => this.#binary(['**'], () => this.#unary(true)))
  }

  #unary(withFilter: boolean): Expr {
    const { line } = this.stream
    let node: Expr
    if (this.stream.isOperator('-', '+')) {
      const op = this.stream.next().text as '-' | '+'
      node = { kind: 'unary', line, op, node: this.stream.nested(() => this.#unary(false)) }
    } else node = this.primary()
    node = this.#postfix(node)
    return withFilter ? this.#filters(node) : node
  }

  /** A name or a literal; with `withNamespace` also `name.attribute`, to assign to. */
  primary(withNamespace = false): Expr {
    const token = this.stream.current
    const { line } = token
    switch (token.type) {
      case 'name': {
        this.stream.next()
        const name = token.text
        if (/^([Tt]rue|[Ff]alse)$/.test(name)) return { kind: 'const', line, value: name.toLowerCase() === 'true' }
        if (/^[Nn]one$/.test(name)) return { kind: 'const', line, value: null }
        if (withNamespace && this.stream.skipOperator('.')) {
          return { kind: 'nsref', line, name, attr: this.stream.expect('name').text, hops: 0 }
        }
        return { kind: 'name', line, name, hops: 0 }
      }
      case 'string': {
        let value = ''
        while (this.stream.is('string')) value += this.stream.next().text
        return { kind: 'const', line, value }
      }
      case 'integer':
        return { kind: 'const', line, value: readInteger(this.stream.next().text) }
      case 'float':
        return { kind: 'const', line, value: Number(this.stream.next().text.replaceAll('_', '')) }
      case 'operator':
        if (token.text === '(') {
          this.stream.next()
          const node = this.tuple({ parentheses: true })
          this.stream.expect('operator', ')')
          return node
        }
        if (token.text === '[') return this.#list()
        if (token.text === '{') return this.#dict()
    }
    return syntaxError(`unexpected ${describe(token)}`, line)
  }

  /**
   * One expression, or several with commas between as a tuple. `simplified`: names and literals alone, as targets are;
   * `end`: a word that ends it.
   */
  tuple(
    options: {
      simplified?: boolean
      withCondition?: boolean
      end?: string
      parentheses?: boolean
      withNamespace?: boolean
    } = {},
  ): Expr {
    let line = this.stream.line
    const items: Expr[] = []
    let isTuple = false
    for (;;) {
      if (items.length > 0) this.stream.expect('operator', ',')
      if (this.#isTupleEnd(options.end)) break
      items.push(
        options.simplified
          ? this.stream.nested(() => this.primary(options.withNamespace))
          : this.expression(options.withCondition ?? true),
      )
      if (!this.stream.isOperator(',')) break
      isTuple = true
      line = this.stream.line
    }
    if (!isTuple) {
      if (items.length > 0) return items[0]!
      if (!options.parentheses) {
        return syntaxError(`Expected an expression, got ${describe(this.stream.current)}`, this.stream.line)
      }
    }
    return { kind: 'tuple', line, items }
  }

  #isTupleEnd(end: string | undefined): boolean {
    const { stream } = this
    return (
      stream.is('variable_end') ||
      stream.is('block_end') ||
      stream.isOperator(')') ||
      (end !== undefined && stream.isName(end))
    )
  }

  #list(): Expr {
    const { line } = this.stream.next()
    const items: Expr[] = []
    while (!this.stream.isOperator(']')) {
      if (items.length > 0) this.stream.expect('operator', ',')
      if (this.stream.isOperator(']')) break
      items.push(this.expression())
    }
    this.stream.expect('operator', ']')
    return { kind: 'list', line, items }
  }

  #dict(): Expr {
    const { line } = this.stream.next()
    const pairs: [Expr, Expr][] = []
    while (!this.stream.isOperator('}')) {
      if (pairs.length > 0) this.stream.expect('operator', ',')
      if (this.stream.isOperator('}')) break
      const key = this.expression()
      this.stream.expect('operator', ':')
      pairs.push([key, this.expression()])
    }
    this.stream.expect('operator', '}')
    return { kind: 'dict', line, pairs }
  }

  #postfix(start: Expr): Expr {
    let node = start
    for (;;) {
      if (this.stream.isOperator('.', '[')) node = this.#subscript(node)
      else if (this.stream.isOperator('(')) node = this.#call(node)
      else return node
    }
  }

  #filters(start: Expr): Expr {
    let node = start
    for (;;) {
      if (this.stream.skipOperator('|')) node = this.#filter(node)
      else if (this.stream.isName('is')) node = this.#test(node)
      else if (this.stream.isOperator('(')) node = this.#call(node)
      else return node
    }
  }

  #subscript(node: Expr): Expr {
    const { line, text } = this.stream.next()
    if (text === '.') {
      const attr = this.stream.next()
      if (attr.type === 'name') return { kind: 'getattr', line, node, name: attr.text }
      if (attr.type !== 'integer') return syntaxError('expected name or number', attr.line)
      return { kind: 'getitem', line, node, arg: { kind: 'const', line: attr.line, value: readInteger(attr.text) } }
    }
    const args: Expr[] = []
    while (!this.stream.isOperator(']')) {
      if (args.length > 0) this.stream.expect('operator', ',')
      args.push(this.#slice())
    }
    this.stream.expect('operator', ']')
    return { kind: 'getitem', line, node, arg: args.length === 1 ? args[0]! : { kind: 'tuple', line, items: args } }
  }

  #slice(): Expr {
    const { line } = this.stream
    const start = this.stream.isOperator(':') ? undefined : this.expression()
    if (start !== undefined && !this.stream.isOperator(':')) return start
    this.stream.next()
    const part = () => (this.stream.isOperator(':', ']', ',') ? undefined : this.expression())
    const stop = part()
    const step = this.stream.skipOperator(':')
      ? this.stream.isOperator(']', ',')
        ? undefined
        : this.expression()
      : undefined
    return { kind: 'slice', line, start, stop, step }
  }

  #call(node: Expr): CallExpr {
    const { line } = this.stream
    return { kind: 'call', line, node, args: this.#arguments() }
  }

  #arguments(): Arguments {
    const { line } = this.stream.expect('operator', '(')
    const args: Expr[] = []
    const kwargs: [string, Expr][] = []
    let star: Expr | undefined
    let doubleStar: Expr | undefined
    const ensure = (holds: boolean) => {
      if (!holds) syntaxError('invalid syntax for function call expression', line)
    }
    let first = true
    while (!this.stream.isOperator(')')) {
      if (!first) {
        this.stream.expect('operator', ',')
        if (this.stream.isOperator(')')) break
      }
      first = false
      if (this.stream.skipOperator('*')) {
        ensure(star === undefined && doubleStar === undefined)
        star = this.expression()
      } else if (this.stream.skipOperator('**')) {
        ensure(doubleStar === undefined)
        doubleStar = this.expression()
      } else if (this.stream.is('name') && this.stream.after.type === 'operator' && this.stream.after.text === '=') {
        ensure(doubleStar === undefined)
        const key = this.stream.next().text
        this.stream.next()
        kwargs.push([key, this.expression()])
      } else {
        ensure(star === undefined && doubleStar === undefined && kwargs.length === 0)
        args.push(this.expression())
      }
    }
    this.stream.expect('operator', ')')
    return { args, kwargs, star, doubleStar }
  }

  #dottedName(): string {
    let name = this.stream.expect('name').text
    while (this.stream.skipOperator('.')) name += `.${this.stream.expect('name').text}`
    return name
  }

  /** One filter, behind its `|`. */
  #filter(node: Expr | undefined): FilterExpr {
    const { line } = this.stream
    const name = this.#dottedName()
    return { kind: 'filter', line, name, node, args: this.stream.isOperator('(') ? this.#arguments() : NO_ARGUMENTS }
  }

  /** Filters of a block: the first without its `|` when `inline`. */
  blockFilter(inline: boolean): FilterExpr | undefined {
    let node: FilterExpr | undefined
    while (inline ? node === undefined || this.stream.skipOperator('|') : this.stream.skipOperator('|')) {
      node = this.#filter(node)
    }
    return node
  }

  #test(node: Expr): Expr {
    const { line } = this.stream.next()
    const negated = this.stream.skipName('not')
    const name = this.#dottedName()
    const { stream } = this
    let args = NO_ARGUMENTS
    if (stream.isOperator('(')) args = this.#arguments()
    else if (
      (stream.is('name') && !stream.isName('else', 'or', 'and')) ||
      stream.is('string') ||
      stream.is('integer') ||
      stream.is('float') ||
      stream.isOperator('[', '{')
    ) {
      if (stream.isName('is')) return syntaxError('You cannot chain multiple tests with is', stream.line)
      args = { ...NO_ARGUMENTS, args: [this.#postfix(this.primary())] }
    }
    const test: Expr = { kind: 'test', line, name, node, args }
    return negated ? { kind: 'unary', line, op: 'not', node: test } : test
  }

  /** What `set` and `for` assign to. */
  target(options: { end?: string; withNamespace?: boolean } = {}): Target {
    const expr = this.tuple({ simplified: true, ...options })
    if (!canAssign(expr)) return syntaxError(`can't assign to '${expr.kind}'`, expr.line)
    return expr
  }

  targetName(): string {
    const { text, line } = this.stream.expect('name')
    if (/^([Tt]rue|[Ff]alse|[Nn]one)$/.test(text)) return syntaxError("can't assign to 'name'", line)
    return text
  }
}

const canAssign = (expr: Expr): expr is Target =>
  expr.kind === 'name' || expr.kind === 'nsref' || (expr.kind === 'tuple' && expr.items.every(canAssign))

const readInteger = (text: string): bigint =>
  BigInt(
    text
      .replaceAll('_', '')
      .toLowerCase()
      .replace(/^0+(?=0)/, ''),
  )
