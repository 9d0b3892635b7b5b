// Random small templates over the grammar of Jinja, mostly of what runs without an error, over fixed variables.
import fc from 'fast-check'
import type { Job } from './outcome.ts'

export const variables: Readonly<Record<string, unknown>> = {
  messages: [
    { role: 'system', content: '  Be kind.\n' },
    { role: 'user', content: 'Hello <b>wörld</b> 😀' },
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ function: { name: 'f', arguments: { x: 1, y: [true, null] } } }],
    },
    { role: 'tool', content: '{"a": 1.5}', name: 'f' },
  ],
  tools: null,
  text: 'The quick-brown fox\n  jumps "over" it\'s dog',
  empty: '',
  count: 3,
  ratio: 2.5,
  flag: true,
  items: [3, 1, 2, 1],
  mixed: [1, 'a', null, true, 1.5, [2]],
  words: ['b', 'A', 'c', 'a'],
  table: { b: 1, a: { c: [1, 2] }, items: 'x' },
}

const NAMES = [...Object.keys(variables), 'x', 'y', 'missing']
const pick = <T>(...values: readonly T[]) => fc.constantFrom(...values)
const text = (parts: TemplateStringsArray, ...values: readonly fc.Arbitrary<string>[]) =>
  fc.tuple(...values).map((given) => parts.map((part, index) => part + (given[index] ?? '')).join(''))

const literal = fc.oneof(
  pick('0', '1', '2', '-1', '3', '10', '1.0', '0.5', '2.5', '1e3', '1e16', '123456789012345678901'),
  pick("'a'", "''", "'ab'", "'a b'", "'\\n'", "' x '", "'é😀'", '"it\'s"', "'%s'", "'{}'", "'<'", "'A-b c'", "'1'"),
  pick(
    'true',
    'false',
    'none',
    '[]',
    '{}',
    '()',
    '[1, 2, 3]',
    "['a', 'b']",
    "{'a': 1, 'b': none}",
    '(1, 2)',
    "(1, 'a')",
  ),
)
const name = fc.oneof(
  { arbitrary: pick(...NAMES), weight: 4 },
  { arbitrary: pick('messages[0]', 'messages[-1]'), weight: 1 },
)

const FILTERS = [
  ...[
    'upper',
    'lower',
    'title',
    'capitalize',
    'trim',
    'length',
    'list',
    'first',
    'last',
    'string',
    'int',
    'float',
    'abs',
  ],
  ...[
    'sort',
    'unique|list',
    'reverse|list',
    'join',
    "join(', ')",
    'tojson',
    'tojson(indent=2)',
    "default('d')",
    'items|list',
  ],
  ...[
    "default('d', true)",
    'sum',
    'min',
    'max',
    'round',
    'round(1)',
    'e',
    'safe',
    'dictsort',
    "replace('a', 'b')",
    'indent',
  ],
  ...[
    'indent(2, true)',
    'truncate(7)',
    'truncate(5, true)',
    'wordcount',
    'wordwrap(5)',
    'batch(2)|list',
    'slice(2)|list',
  ],
  ...[
    "map('string')|list",
    "map('upper')|join",
    "map(attribute='role')|list",
    "selectattr('content')|list",
    'center(9)',
  ],
  ...[
    "selectattr('role', 'equalto', 'user')|list",
    "rejectattr('name', 'defined')|list",
    'select|list',
    "reject('none')|list",
  ],
  ...[
    "select('string')|list",
    "groupby('role')",
    'striptags',
    'urlencode',
    'filesizeformat',
    'pprint',
    'count',
    'forceescape',
  ],
  ...[
    "sort(attribute='role')",
    'sort(reverse=true)',
    "trim('a')",
    "format('z')",
    'xmlattr',
    "map('length')|list",
    'reverse',
  ],
]
const METHODS = [
  ...[
    'upper()',
    'lower()',
    'strip()',
    "strip('a ')",
    "lstrip('\\n')",
    'rstrip()',
    'split()',
    "split('a')",
    "split(' ', 1)",
  ],
  ...[
    "rsplit(' ', 1)",
    'splitlines()',
    'title()',
    'capitalize()',
    "startswith('a')",
    "endswith(('t', 'b'))",
    "find('a')",
  ],
  ...[
    "replace('a', 'b')",
    "count('a')",
    'zfill(5)',
    "partition(' ')",
    "rpartition(' ')",
    'isdigit()',
    'isalpha()',
    'isupper()',
  ],
  ...[
    "join(['x', 'y'])",
    'join(words)',
    'format(1)',
    "removeprefix('a')",
    'swapcase()',
    'center(5)',
    'items()|list',
    'keys()|list',
  ],
  ...[
    'values()|list',
    "get('a')",
    "get('role', 'r')",
    "index('a')",
    'copy()',
    'encode()',
    "ljust(4, '.')",
    'nothing()',
  ],
]
const TESTS = [
  ...[
    'defined',
    'undefined',
    'none',
    'string',
    'mapping',
    'sequence',
    'iterable',
    'number',
    'integer',
    'float',
    'boolean',
  ],
  ...[
    'true',
    'false',
    'odd',
    'even',
    'lower',
    'upper',
    'callable',
    "in ['a', 1]",
    'eq 1',
    "equalto 'a'",
    'gt 1',
    'divisibleby 2',
  ],
]
const OPERATORS = [
  '+',
  '-',
  '*',
  '/',
  '//',
  '%',
  '==',
  '!=',
  '<',
  '<=',
  '>',
  '>=',
  'in',
  'not in',
  'and',
  'or',
  '~',
  '~',
  '+',
  '==',
]
const SLICES = ['0', '-1', '1:', ':2', '::-1', '1:-1', '::2', ':-1', '5', "'a'", "'role'"]

const { expression } = fc.letrec<{ expression: string }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    { arbitrary: name, weight: 5 },
    { arbitrary: literal, weight: 4 },
    { arbitrary: text`${tie('expression')} | ${pick(...FILTERS)}`, weight: 5 },
    { arbitrary: text`(${tie('expression')}) | ${pick(...FILTERS)}`, weight: 2 },
    { arbitrary: text`${name}.${pick(...METHODS)}`, weight: 3 },
    { arbitrary: text`(${tie('expression')}).${pick(...METHODS)}`, weight: 2 },
    { arbitrary: text`${name}.${pick('role', 'content', 'a', 'items', 'tool_calls', 'nope')}`, weight: 3 },
    { arbitrary: text`${name}[${pick(...SLICES)}]`, weight: 3 },
    { arbitrary: text`${tie('expression')} ${pick(...OPERATORS)} ${tie('expression')}`, weight: 5 },
    { arbitrary: text`(${tie('expression')} ${pick(...OPERATORS)} ${tie('expression')})`, weight: 3 },
    { arbitrary: text`${tie('expression')} is ${pick('', 'not ')}${pick(...TESTS)}`, weight: 3 },
    { arbitrary: text`not ${tie('expression')}`, weight: 1 },
    { arbitrary: text`-${tie('expression')}`, weight: 1 },
    { arbitrary: text`${tie('expression')} if ${tie('expression')} else ${tie('expression')}`, weight: 2 },
    { arbitrary: text`(${tie('expression')} if ${tie('expression')})`, weight: 1 },
    { arbitrary: text`[${tie('expression')}, ${tie('expression')}]`, weight: 2 },
    { arbitrary: text`(${tie('expression')}, ${tie('expression')})`, weight: 1 },
    { arbitrary: text`{'k': ${tie('expression')}, ${literal}: ${tie('expression')}}`, weight: 1 },
    { arbitrary: text`'%s %5.1f' % (${tie('expression')}, ${pick('ratio', 'count', "'a'")})`, weight: 1 },
    { arbitrary: text`'{} {:>6}'.format(${tie('expression')}, ${tie('expression')})`, weight: 1 },
    {
      arbitrary: text`range(${pick('3', 'count', '1, 4', '5, 0, -2', 'missing')})${pick('', '|list', '[1]')}`,
      weight: 1,
    },
    { arbitrary: text`dict(a=${tie('expression')})`, weight: 1 },
    { arbitrary: text`namespace(a=${tie('expression')}).a`, weight: 1 },
    {
      arbitrary: text`loop.${pick('index', 'first', 'last', 'length', 'revindex0', 'previtem', 'nextitem', 'depth')}`,
      weight: 1,
    },
    { arbitrary: text`loop.${pick("cycle('p', 'q')", 'changed(x)')}`, weight: 1 },
    { arbitrary: text`m(${tie('expression')})`, weight: 1 },
  ),
}))

const space = pick('', '', ' ', '\n', '\n  ', '  ', '\t', ' \n', '\n\n', '\r\n')
const data = fc.oneof(space, pick('a', 'b\n', ' c ', '\n d', '<|im_start|>', 'x  \n'))
const open = pick('{%', '{%', '{%', '{%-', '{%-', '{%+')
const close = pick('%}', '%}', '%}', '-%}', '-%}', '+%}')
const tag = (...inside: readonly fc.Arbitrary<string>[]) =>
  text`${open} ${fc.tuple(...inside).map((words) => words.join(''))} ${close}`
const word = (value: string) => fc.constant(value)
const target = pick('x', 'y', 'x', 'y', 'items', 'x, y')

export const { template } = fc.letrec<{ template: string; statement: string }>((tie) => ({
  template: fc
    .array(tie('statement'), { minLength: 1, maxLength: 4, depthIdentifier: 'statements' })
    .map((all) => all.join('')),
  statement: fc.oneof(
    { maxDepth: 3, depthSize: 'small', depthIdentifier: 'statements' },
    { arbitrary: data, weight: 4 },
    { arbitrary: text`${pick('{{', '{{', '{{-')} ${expression} ${pick('}}', '}}', '-}}')}`, weight: 8 },
    { arbitrary: tag(word('set '), target, word(' = '), expression), weight: 3 },
    {
      arbitrary: text`${tag(word('set '), pick('x', 'y'), pick('', ' | upper', ' | trim'))}${tie('template')}${tag(word('endset'))}`,
      weight: 1,
    },
    {
      arbitrary: text`{% set ns = namespace(a=${expression}) %}${tie('template')}{% set ns.a = ${expression} %}{{ ns.a }}`,
      weight: 1,
    },
    { arbitrary: text`${tag(word('if '), expression)}${tie('template')}${tag(word('endif'))}`, weight: 2 },
    {
      arbitrary: text`${tag(word('if '), expression)}${tie('template')}${tag(word('elif '), expression)}${tie('template')}${tag(word('else'))}${tie('template')}${tag(word('endif'))}`,
      weight: 2,
    },
    {
      arbitrary: text`${tag(word('for '), pick('x', 'y', 'x', 'x, y', 'm'), word(' in '), expression)}${tie('template')}${tag(word('endfor'))}`,
      weight: 3,
    },
    {
      arbitrary: text`${tag(word('for x in '), pick('messages', 'items', 'words', 'table', 'text', 'range(4)', 'mixed'), pick('', ' if x', ' if loop', ' recursive'))}${tie('template')}${pick('', '{% if loop.index == 2 %}{% break %}{% endif %}', '{% if x %}{% continue %}{% endif %}')}${tie('template')}${pick('', '{% else %}none')}${tag(word('endfor'))}`,
      weight: 3,
    },
    {
      arbitrary: text`${tag(word('for x, y in table'), pick('.items()', '|items', '|dictsort'))}${tie('template')}${tag(word('endfor'))}`,
      weight: 1,
    },
    {
      arbitrary: text`${tag(word('macro m('), pick('x', 'x, y=2', 'x=1, y=x', ''), word(')'))}${tie('template')}${pick('', '{{ caller() }}', '{{ varargs }}', '{{ kwargs }}')}${tag(word('endmacro'))}${tie('template')}{{ m(${expression}) }}`,
      weight: 1,
    },
    {
      arbitrary: text`{% macro n() %}[{{ caller(1) }}]{% endmacro %}${tag(pick('call n()', 'call(x) n()', 'call(x, y=3) n()'))}${tie('template')}${tag(word('endcall'))}`,
      weight: 1,
    },
    {
      arbitrary: text`${tag(word('filter '), pick('upper', 'trim', "replace('a', 'b')", 'title', 'indent', 'length'))}${tie('template')}${tag(word('endfilter'))}`,
      weight: 1,
    },
    { arbitrary: text`${tag(word('with x = '), expression)}${tie('template')}${tag(word('endwith'))}`, weight: 1 },
    { arbitrary: text`${tag(word('generation'))}${tie('template')}${tag(word('endgeneration'))}`, weight: 1 },
    {
      arbitrary: text`${tag(word('autoescape '), pick('true', 'false'))}${tie('template')}${tag(word('endautoescape'))}`,
      weight: 1,
    },
    { arbitrary: text`${pick('{#', '{#-')} ${data} ${pick('#}', '-#}')}`, weight: 1 },
    { arbitrary: text`${open} raw ${pick('%}', '-%}')}${data}{{ x }}${open} endraw ${close}`, weight: 1 },
    {
      arbitrary: tag(pick('break', 'continue', 'else', 'endif', 'if', 'print 1', 'frob', 'set x', 'for x in')),
      weight: 1,
    },
  ),
}))

export function randomJobs(count: number, seed: number): Job[] {
  return fc.sample(template, { numRuns: count, seed }).map((source) => ({ template: source, variables }))
}
