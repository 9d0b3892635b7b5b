// Statements of a template.
import type { BlockStatement, Expr, IfStatement, MacroBody, Signature, Statement, Template } from './ast.ts'
import { raise, syntaxError } from './errors.ts'
import { ExpressionParser } from './expression-parser.ts'
import { tokenize } from './lexer.ts'
import { reprText } from './repr.ts'
import { isSpace } from './text.ts'
import { TokenStream } from './token-stream.ts'

export function parseTemplate(source: string): Template {
  const parser = new Parser(new TokenStream(tokenize(source)))
  return { body: parser.statements() }
}

const STATEMENTS: readonly string[] =
  'for if block extends print macro include from import set with autoescape call filter break continue generation'.split(
    ' ',
  )

class Parser extends ExpressionParser {
  /** tags that are open */
  readonly #open: string[] = []
  /** what may end the blocks that are open */
  readonly #ends: (readonly string[])[] = []

  /** Statements up to one of the tags that end them, which stays the current token; or to the end of the template. */
  statements(ends?: readonly string[]): Statement[] {
    const body: Statement[] = []
    if (ends) this.#ends.push(ends)
    const { stream } = this
    while (!stream.is('eof')) {
      const token = stream.next()
      if (token.type === 'data') body.push({ kind: 'data', line: token.line, text: token.text })
      else if (token.type === 'variable_begin') {
        const node = this.tuple()
        body.push({ kind: 'output', line: node.line, node, escape: false })
        stream.expect('variable_end')
      } else {
        if (ends && stream.isName(...ends)) {
          this.#ends.pop()
          return body
        }
        body.push(...stream.nested(() => this.#statement()))
        stream.expect('block_end')
      }
    }
    if (ends) this.#unexpected(undefined, stream.line)
    return body
  }

  /** The body of a statement: from the end of its tag to the tag that ends it. */
  #body(...ends: readonly string[]): Statement[] {
    this.stream.skipOperator(':')
    this.stream.expect('block_end')
    return this.statements(ends)
  }

  #bodyTo(end: string): Statement[] {
    const body = this.#body(end)
    this.stream.next()
    return body
  }

  #statement(): Statement[] {
    const token = this.stream.current
    if (token.type !== 'name') return syntaxError('tag name expected', token.line)
    if (!STATEMENTS.includes(token.text)) return this.#unexpected(token.text, token.line)
    this.#open.push(token.text)
    this.stream.next()
    const statements = token.text === 'print' ? this.#print() : [this.#single(token.text, token.line)]
    this.#open.pop()
    return statements
  }

  #single(tag: string, line: number): Statement {
    switch (tag) {
      case 'for':
        return this.#for(line)
      case 'if':
        return this.#if(line)
      case 'set':
        return this.#set(line)
      case 'macro':
        return { kind: 'macro', name: this.targetName(), ...this.#macroBody(line, this.#signature(), 'endmacro') }
      case 'call':
        return this.#callBlock(line)
      case 'generation':
        return { kind: 'generation', ...this.#macroBody(line, { params: [], defaults: [] }, 'endgeneration') }
      case 'filter': {
        const filter = this.blockFilter(true)!
        return { kind: 'filter', line, filter, body: this.#bodyTo('endfilter'), scope: undefined, escape: false }
      }
      case 'with':
        return this.#with(line)
      case 'autoescape': {
        const value = this.expression()
        return { kind: 'autoescape', line, value, body: this.#bodyTo('endautoescape'), scope: undefined }
      }
      case 'block':
        return this.#block(line)
      case 'break':
      case 'continue':
        return { kind: tag, line }
    }
    return this.#load(tag, line)
  }

  #print(): Statement[] {
    const nodes: Statement[] = []
    while (!this.stream.is('block_end')) {
      if (nodes.length > 0) this.stream.expect('operator', ',')
      const node = this.expression()
      nodes.push({ kind: 'output', line: node.line, node, escape: false })
    }
    return nodes
  }

  #for(line: number): Statement {
    const target = this.target({ end: 'in' })
    this.stream.expect('name', 'in')
    const iter = this.tuple({ withCondition: false, end: 'recursive' })
    const test = this.stream.skipName('if') ? this.expression() : undefined
    const recursive = this.stream.skipName('recursive')
    const body = this.#body('endfor', 'else')
    const otherwise = this.stream.next().text === 'endfor' ? [] : this.#bodyTo('endfor')
    return {
      ...{ kind: 'for', line, target, iter, test, recursive, body, otherwise },
      ...{ bodyScope: undefined, testScope: undefined, elseScope: undefined, escape: false },
    }
  }

  #if(line: number): IfStatement {
    const test = this.tuple({ withCondition: false })
    const body = this.#body('elif', 'else', 'endif')
    const elifs: IfStatement[] = []
    for (;;) {
      const end = this.stream.next()
      if (end.text === 'endif') return { kind: 'if', line, test, body, elifs, otherwise: [] }
      if (end.text === 'else') return { kind: 'if', line, test, body, elifs, otherwise: this.#bodyTo('endif') }
      const elifLine = this.stream.line
      elifs.push({
        ...{ kind: 'if', line: elifLine, test: this.tuple({ withCondition: false }) },
        ...{ body: this.#body('elif', 'else', 'endif'), elifs: [], otherwise: [] },
      })
    }
  }

  #set(line: number): Statement {
    const target = this.target({ withNamespace: true })
    if (this.stream.skipOperator('=')) return { kind: 'set', line, target, value: this.tuple() }
    const filter = this.blockFilter(false)
    return { kind: 'setblock', line, target, filter, body: this.#bodyTo('endset'), scope: undefined, escape: false }
  }

  #signature(): Signature {
    const params: string[] = []
    const defaults: Expr[] = []
    this.stream.expect('operator', '(')
    while (!this.stream.isOperator(')')) {
      if (params.length > 0) this.stream.expect('operator', ',')
      params.push(this.targetName())
      if (this.stream.skipOperator('=')) defaults.push(this.expression())
      else if (defaults.length > 0) syntaxError('non-default argument follows default argument', this.stream.line)
    }
    this.stream.expect('operator', ')')
    return { params, defaults }
  }

  #macroBody(line: number, signature: Signature, end: string): MacroBody {
    const body = this.#bodyTo(end)
    return { line, ...signature, body, scope: undefined, takesCaller: false, takesKwargs: false, takesVarargs: false }
  }

  #callBlock(line: number): Statement {
    const signature = this.stream.isOperator('(') ? this.#signature() : { params: [], defaults: [] }
    const call = this.expression()
    if (call.kind !== 'call') return syntaxError('expected call', line)
    return { kind: 'call', call, ...this.#macroBody(line, signature, 'endcall') }
  }

  #with(line: number): Statement {
    const targets = []
    const values = []
    while (!this.stream.is('block_end')) {
      if (targets.length > 0) this.stream.expect('operator', ',')
      targets.push(this.target())
      this.stream.expect('operator', '=')
      values.push(this.expression())
    }
    return { kind: 'with', line, targets, values, body: this.#bodyTo('endwith'), scope: undefined }
  }

  #block(line: number): BlockStatement {
    const name = this.stream.expect('name').text
    const scoped = this.stream.skipName('scoped')
    const required = this.stream.skipName('required')
    if (this.stream.isOperator('-')) {
      return syntaxError(
        'Block names in Jinja have to be valid Python identifiers and may not contain hyphens, use an underscore instead.',
        this.stream.line,
      )
    }
    const body = this.#bodyTo('endblock')
    if (required && body.some((statement) => statement.kind !== 'data' || !isSpace(statement.text))) {
      return syntaxError('Required blocks can only contain comments or whitespace', this.stream.line)
    }
    this.stream.skipName(name)
    return { kind: 'block', line, name, scoped, required, body, scope: undefined }
  }

  /** include, import, from, extends */
  #load(tag: string, line: number): Statement {
    const template = this.expression()
    const { stream } = this
    const names: string[] = []
    if (tag === 'include' && stream.isName('ignore') && stream.after.text === 'missing') {
      stream.next()
      stream.next()
    }
    if (tag === 'import') {
      stream.expect('name', 'as')
      names.push(this.targetName())
    }
    if (tag === 'from') {
      stream.expect('name', 'import')
      do {
        if (stream.isName('with', 'without') && stream.after.text === 'context') break
        const { line: nameLine } = stream
        const name = this.targetName()
        if (name.startsWith('_')) {
          raise('TemplateAssertionError', 'names starting with an underline can not be imported', nameLine)
        }
        names.push(stream.skipName('as') ? this.targetName() : name)
      } while (stream.skipOperator(','))
    }
    if (tag !== 'extends' && stream.isName('with', 'without') && stream.after.text === 'context') {
      stream.next()
      stream.next()
    }
    return { kind: 'load', line, template, names }
  }

  /** An unknown tag, or the end of the template inside of a block. */
  #unexpected(tag: string | undefined, line: number): never {
    const message = [tag === undefined ? 'Unexpected end of template.' : `Encountered unknown tag ${reprText(tag)}.`]
    const looking = this.#ends.at(-1)?.map(reprText).join(' or ')
    if (looking) {
      message.push(
        tag !== undefined && this.#ends.some((ends) => ends.includes(tag))
          ? `You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for ${looking}.`
          : `Jinja was looking for the following tags: ${looking}.`,
      )
    }
    const open = this.#open.at(-1)
    if (open !== undefined) message.push(`The innermost block that needs to be closed is ${reprText(open)}.`)
    return syntaxError(message.join(' '), line)
  }
}
