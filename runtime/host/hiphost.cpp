// libhiphost: the calls of the HIP runtime that the driver makes, on the threads of a CPU. One device, named after the
// processor; a multiprocessor is an OS thread of the pool. This unity file is all that the C++ compiler is given.
//
//   device.cpp   what the device is, errors by number
//   memory.cpp   allocations and copies
//   pool.cpp     the OS threads that share the blocks of a grid
//   fiber.cpp    threads of a block as fibers: barriers, wave operations, LDS (emulation mode)
//   module.cpp   code objects and kernels
//   stream.cpp   the queue, streams, events, graphs
#include "hiphost.h"

#include "pool.cpp"
#include "fiber.cpp"
#include "device.cpp"
#include "memory.cpp"
#include "module.cpp"
#include "stream.cpp"
