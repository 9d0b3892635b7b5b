// nvidia.h: what base.h needs from NVRTC or nvcc. `__global__`, `threadIdx` and the rest are the compiler's own.
#pragma once

#define DEVICE __device__ __forceinline__
