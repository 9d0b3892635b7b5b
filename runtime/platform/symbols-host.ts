// The host platform's names: libhiphost exports HIP's own, so its table is HIP's but for what a CPU has no use for.
import { direct, type SymbolTable } from './calls.ts'
import { amdSymbols } from './symbols-amd.ts'

const read = { absent: 'what the machine is, Node knows: see hostProperties' }

export const hostSymbols: SymbolTable = {
  ...amdSymbols,
  propertiesR0600: read,
  propertiesOld: read,
  uuid: read,
  lastMessage: { ...direct('hiphostLastMessage'), returns: 'text' },
  hostDeviceAddress: { absent: 'all memory is the host’s' },
  launchEarly: { absent: 'launches run one after the other' },
  launchCooperative: { absent: 'blocks up to the number of threads always run at once' },
  setFunctionAttribute: { absent: 'any amount of LDS is plain memory' },
}
