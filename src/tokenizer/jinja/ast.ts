// The syntax tree of a template. `hops` says where a name lives: scopes to go up from where it is used; bind.ts sets it.
import type { Scope } from './scope.ts'

export interface Arguments {
  readonly args: readonly Expr[]
  readonly kwargs: readonly (readonly [name: string, value: Expr])[]
  readonly star: Expr | undefined
  readonly doubleStar: Expr | undefined
}

/** which output is escaped: none, all, or as the state at run time says */
export type Escape = boolean | 'volatile'

type NameExpr = { readonly kind: 'name'; readonly line: number; readonly name: string; hops: number }
type NamespaceTarget = {
  readonly kind: 'nsref'
  readonly line: number
  readonly name: string
  readonly attr: string
  hops: number
}
type TupleExpr = { readonly kind: 'tuple'; readonly line: number; readonly items: readonly Expr[] }
export type CallExpr = { readonly kind: 'call'; readonly line: number; readonly node: Expr; readonly args: Arguments }
export type FilterExpr = {
  readonly kind: 'filter'
  readonly line: number
  readonly name: string
  /** undefined: the text of the block that the filter belongs to */
  readonly node: Expr | undefined
  readonly args: Arguments
}
export type CompareOp = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in'
export type BinaryOp = '+' | '-' | '*' | '/' | '//' | '%' | '**'

export type Expr =
  | {
      readonly kind: 'const'
      readonly line: number
      readonly value: null | boolean | bigint | number | string
    }
  | NameExpr
  | NamespaceTarget
  | TupleExpr
  | { readonly kind: 'list'; readonly line: number; readonly items: readonly Expr[] }
  | { readonly kind: 'dict'; readonly line: number; readonly pairs: readonly (readonly [key: Expr, value: Expr])[] }
  | { readonly kind: 'unary'; readonly line: number; readonly op: '-' | '+' | 'not'; readonly node: Expr }
  | { readonly kind: 'binary'; readonly line: number; readonly op: BinaryOp; readonly left: Expr; readonly right: Expr }
  | {
      readonly kind: 'logic'
      readonly line: number
      readonly op: 'and' | 'or'
      readonly left: Expr
      readonly right: Expr
    }
  | { readonly kind: 'concat'; readonly line: number; readonly items: readonly Expr[]; escape: Escape }
  | {
      readonly kind: 'compare'
      readonly line: number
      readonly first: Expr
      readonly rest: readonly (readonly [op: CompareOp, node: Expr])[]
    }
  | FilterExpr
  | {
      readonly kind: 'test'
      readonly line: number
      readonly name: string
      readonly node: Expr
      readonly args: Arguments
    }
  | CallExpr
  | { readonly kind: 'getattr'; readonly line: number; readonly node: Expr; readonly name: string }
  | { readonly kind: 'getitem'; readonly line: number; readonly node: Expr; readonly arg: Expr }
  | {
      readonly kind: 'slice'
      readonly line: number
      readonly start: Expr | undefined
      readonly stop: Expr | undefined
      readonly step: Expr | undefined
    }
  | {
      readonly kind: 'cond'
      readonly line: number
      readonly test: Expr
      readonly value: Expr
      readonly otherwise: Expr | undefined
    }

/** what a name, names in parentheses, or `namespace.name` can be assigned through */
export type Target = NameExpr | NamespaceTarget | TupleExpr

export interface Signature {
  readonly params: readonly string[]
  /** of the last params */
  readonly defaults: readonly Expr[]
}

export type MacroBody = Signature & {
  readonly line: number
  readonly body: readonly Statement[]
  scope: Scope | undefined
  takesCaller: boolean
  takesKwargs: boolean
  takesVarargs: boolean
}

export type ForStatement = {
  readonly kind: 'for'
  readonly line: number
  readonly target: Target
  readonly iter: Expr
  readonly test: Expr | undefined
  readonly recursive: boolean
  readonly body: readonly Statement[]
  readonly otherwise: readonly Statement[]
  bodyScope: Scope | undefined
  testScope: Scope | undefined
  elseScope: Scope | undefined
  escape: Escape
}
export type IfStatement = {
  readonly kind: 'if'
  readonly line: number
  readonly test: Expr
  readonly body: readonly Statement[]
  readonly elifs: readonly IfStatement[]
  readonly otherwise: readonly Statement[]
}
export type BlockStatement = {
  readonly kind: 'block'
  readonly line: number
  readonly name: string
  readonly scoped: boolean
  readonly required: boolean
  readonly body: readonly Statement[]
  scope: Scope | undefined
}

export type Statement =
  | { readonly kind: 'data'; readonly line: number; readonly text: string }
  | { readonly kind: 'output'; readonly line: number; readonly node: Expr; escape: Escape }
  | ForStatement
  | IfStatement
  | (MacroBody & { readonly kind: 'macro'; readonly name: string })
  | (MacroBody & { readonly kind: 'call'; readonly call: CallExpr })
  | (MacroBody & { readonly kind: 'generation' })
  | {
      readonly kind: 'filter'
      readonly line: number
      readonly filter: FilterExpr
      readonly body: readonly Statement[]
      scope: Scope | undefined
      escape: Escape
    }
  | { readonly kind: 'set'; readonly line: number; readonly target: Target; readonly value: Expr }
  | {
      readonly kind: 'setblock'
      readonly line: number
      readonly target: Target
      readonly filter: FilterExpr | undefined
      readonly body: readonly Statement[]
      scope: Scope | undefined
      escape: Escape
    }
  | {
      readonly kind: 'with'
      readonly line: number
      readonly targets: readonly Target[]
      readonly values: readonly Expr[]
      readonly body: readonly Statement[]
      scope: Scope | undefined
    }
  | {
      readonly kind: 'autoescape'
      readonly line: number
      readonly value: Expr
      readonly body: readonly Statement[]
      scope: Scope | undefined
    }
  | BlockStatement
  | {
      /** include, import, extends: there are no other templates */
      readonly kind: 'load'
      readonly line: number
      readonly template: Expr
      readonly names: readonly string[]
    }
  | { readonly kind: 'break' | 'continue'; readonly line: number }

export interface Template {
  readonly body: readonly Statement[]
}
