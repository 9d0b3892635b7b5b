// What `defineKernel` is given for a kernel of a user's own: operands, attributes and parameters by their own names.
import type { Op } from '../ir/op.ts'
import type { Target } from '../ir/target.ts'
import type { TensorType } from '../ir/type.ts'
import type { Extent } from './extent.ts'
import type { Defines, Launch, Site } from './kernel.ts'

export type Named = Readonly<Record<string, string>>
type NameOf<I extends Named, R extends string> = (keyof I & string) | ([R] extends [never] ? 'y' : R)

/** One application of the op that a kernel implements: types by the names of operands and results, and attributes. */
export type SiteOf<I extends Named, O extends Named, A, R extends string> = Omit<Site, 'types' | 'attrs'> & {
  /** of operands that are there, and of results */
  readonly types: { readonly [name in NameOf<I, R>]: TensorType } & { readonly [name in keyof O]?: TensorType }
  readonly attrs: A
}
type ParamsOf<P extends string> = { readonly [name in P]: number }

/** Blocks, x only, and threads of a block, which the template knows as BLOCK: P_BLOCK. */
type LaunchOf<P extends string, S> = (params: ParamsOf<P>, site: S, target: Target) => Launch

/** What `defineKernel` is given for a kernel of one's own. */
export interface OwnKernelDeclaration<I extends Named, O extends Named, A, R extends string, P extends string> {
  /** unique among all kernels, lower case; default: the entry */
  readonly name?: string
  /** the op that it computes: of one's own, or one of `ops` and `fusedOps` */
  readonly implements: Op<I, O, A, R>
  /** the .hip file: an absolute path, or `new URL('./clamp.hip', import.meta.url)`; or the name of one in hip-templates/ */
  readonly template: string | { readonly href: string }
  /**
   * what the tuner may try, per parameter of the template; the first value is the best guess. P_BLOCK: threads of a block;
   * default: those that `launch` gives, alone
   */
  readonly space?: (target: Target, site: SiteOf<I, O, A, R>) => { readonly [name in P]: readonly number[] }
  /** the `extern "C"` symbol of a kernel of one launch; default: the name of the op */
  readonly entry?: string
  /** its parameters in order: names of results, operands and scratch (pointers), or of scalars (i32) */
  readonly args?: readonly string[]
  readonly launch?: LaunchOf<P, SiteOf<I, O, A, R>>
  /** in place of entry, args and launch: several launches */
  readonly stages?: readonly {
    readonly entry: string
    readonly args: readonly string[]
    readonly launch: LaunchOf<P, SiteOf<I, O, A, R>>
  }[]
  /** operands that may be views with a row stride and an offset, elements: the template takes P_X_STRIDE and P_X_OFFSET */
  readonly strided?: readonly (keyof I | keyof O)[]
  /** `true`, or why this kernel cannot take the op with these types */
  readonly serves?: (site: SiteOf<I, O, A, R>, target: Target) => true | string
  /** values of the template's P_* that follow from types and attributes: numbers, or C++ such as `f16_t` */
  readonly fixed?: (site: SiteOf<I, O, A, R>, target: Target) => Defines
  /** `true`, or why these parameters are not possible */
  readonly valid?: (params: ParamsOf<P>, target: Target, site: SiteOf<I, O, A, R>) => true | string
  /** device memory that a call needs besides operands and results: name → bytes */
  readonly scratch?: (params: ParamsOf<P>, site: SiteOf<I, O, A, R>, target: Target) => Readonly<Record<string, Extent>>
  /** u32 counters that are zero before every launch and that the launch leaves zero: name → bytes */
  readonly counters?: (
    params: ParamsOf<P>,
    site: SiteOf<I, O, A, R>,
    target: Target,
  ) => Readonly<Record<string, Extent>>
  /** values of the i32 parameters */
  readonly scalars?: (site: SiteOf<I, O, A, R>) => Readonly<Record<string, Extent>>
  /** bytes moved and arithmetic done; default: operands read and results written once, an operation an element */
  readonly cost?: (site: SiteOf<I, O, A, R>) => {
    readonly bytes: Extent
    readonly flops: Extent
  }
  /** relative error that `selfCheck` allows against the reference, in units of the output dtype's eps; 0: the same bits */
  readonly tolerance: (site: SiteOf<I, O, A, R>) => number
}
