// Macros: how arguments find parameters, and what calling one gives.
import { raise, typeError } from './errors.ts'
import { repr } from './repr.ts'
import { Callable, Dict, type Kwargs, Markup, Tuple, Undefined, type Value } from './values.ts'

interface MacroParameters {
  /** undefined: of a call block */
  readonly name: string | undefined
  readonly params: readonly string[]
  readonly takesCaller: boolean
  readonly takesKwargs: boolean
  readonly takesVarargs: boolean
}

/** Values by parameter; undefined where none was given. */
type MacroArguments = ReadonlyMap<string, Value | undefined>

/** `render` gives the text; it is marked as escaped where the caller escapes. */
export function makeMacro(
  given: MacroParameters,
  render: (args: MacroArguments) => string,
  escapes: () => boolean,
): Callable {
  const { name, params, takesCaller, takesKwargs, takesVarargs } = given
  const shown = name === undefined ? 'anonymous' : repr(name)
  return new Callable(
    `<Macro ${shown}>`,
    (args, kwargs) => {
      const text = render(assign(given, args, kwargs))
      return escapes() ? new Markup(text) : text
    },
    {
      ...{ typeName: 'Macro', module: 'jinja2.runtime.' },
      attributes: {
        name: () => name ?? null,
        arguments: () => new Tuple(params),
        caller: () => takesCaller,
        catch_kwargs: () => takesKwargs,
        catch_varargs: () => takesVarargs,
        explicit_caller: () => params.includes('caller'),
      },
    },
  )
}

function assign(
  { name, params, takesCaller, takesKwargs, takesVarargs }: MacroParameters,
  args: readonly Value[],
  kwargs: Kwargs,
): MacroArguments {
  const shown = name === undefined ? 'None' : repr(name)
  const values = new Map<string, Value | undefined>()
  const left = new Map(kwargs)
  params.forEach((param, index) => {
    if (index < args.length) values.set(param, args[index])
    else {
      values.set(param, left.get(param))
      left.delete(param)
    }
  })
  if (takesCaller && !params.includes('caller')) {
    const caller = left.get('caller') ?? null
    left.delete('caller')
    values.set('caller', caller === null ? new Undefined(() => 'No caller defined') : caller)
  }
  if (takesKwargs) values.set('kwargs', new Dict(left))
  else if (left.size > 0) {
    if (left.has('caller')) {
      raise(
        'TypeError',
        `macro ${shown} was invoked with two values for the special caller argument. This is most likely a bug.`,
      )
    }
    typeError(`macro ${shown} takes no keyword argument ${repr([...left.keys()][0]!)}`)
  }
  if (takesVarargs) values.set('varargs', new Tuple(args.slice(params.length)))
  else if (args.length > params.length) {
    typeError(`macro ${shown} takes not more than ${params.length} argument(s)`)
  }
  return values
}
