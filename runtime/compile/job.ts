// What the compile service is given and gives back.
import type { Defines } from '../../codegen/kernel.ts'
import type { KernelSite } from '../../codegen/program.ts'
import type { Target } from '../../ir/target.ts'
import type { Entry, KernelResources, KeyInput } from '../cache/kernel-cache.ts'

export interface CompileJob {
  /** flattened text without includes, with #line markers */
  readonly source: string
  /** extern "C" kernels in it */
  readonly kernels: readonly string[]
  readonly target: Target
  /** name for people: the template, `norm/rms_norm.hip` */
  readonly label: string
  /** the -D list; a text that defines them too, as emitSource makes it, does no harm */
  readonly defines?: Defines
  /** a use of the kernel, kept with it for the self-check */
  readonly site?: KernelSite
  /** options of the compiler beyond those every kernel gets; not for the host */
  readonly options?: readonly string[]
}

export interface CompiledKernel {
  readonly job: CompileJob
  /** name of the cache entry */
  readonly key: string
  /** @internal */
  readonly keyInput: KeyInput
  /** a use of the kernel; of the job or of the entry that was found */
  readonly site?: KernelSite
  /** code object, cubin or host object: what hipModuleLoadData takes */
  readonly image: Uint8Array
  /** warnings of the compiler */
  readonly log: string
  /** one per kernel of the image, in no order */
  readonly resources: readonly KernelResources[]
  /** @internal */
  readonly selfCheck?: Entry['selfCheck']
  readonly fromCache: boolean
  /** time from the start of the lookup; with other jobs ahead of it, waiting included */
  readonly ms: number
}

/** `kernels 7/14, 3 from cache` */
export interface CompileProgress {
  readonly done: number
  readonly total: number
  /** of the done ones */
  readonly fromCache: number
  /** the one that was finished last */
  readonly label: string
}
