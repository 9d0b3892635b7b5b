// amd.h: what base.h needs from an AMD GPU's compiler (clang in HIP mode), with hipRTC's built-in header or without it
// (--hiprtc-no-builtin-header, which saves about 150 ms a compile; then -DROCMFORGE_NO_BUILTIN_HEADER=1 is passed).
// Everything else in prelude/ uses clang's builtins, which are there in both cases.
#pragma once

#if defined(ROCMFORGE_NO_BUILTIN_HEADER)
#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __host__ __attribute__((host))
#define __shared__ __attribute__((shared))
#define __constant__ __attribute__((constant))
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(threads, ...) __attribute__((amdgpu_flat_work_group_size(1, threads)))
#define __syncthreads() block_sync()
#endif

#define DEVICE __device__ inline __attribute__((always_inline))

#if defined(ROCMFORGE_NO_BUILTIN_HEADER)
#define RF_DIM(name, get_x, get_y, get_z)                                            \
  struct name {                                                                      \
    struct dim_x { DEVICE operator u32() const { return get_x; } } x;                \
    struct dim_y { DEVICE operator u32() const { return get_y; } } y;                \
    struct dim_z { DEVICE operator u32() const { return get_z; } } z;                \
  };
extern "C" __device__ __attribute__((const)) size_t __ockl_get_num_groups(unsigned int);
#define RF_AMDGCN(name, what) \
  RF_DIM(name, __builtin_amdgcn_##what##_x(), __builtin_amdgcn_##what##_y(), __builtin_amdgcn_##what##_z())
RF_AMDGCN(rf_thread_idx, workitem_id)
RF_AMDGCN(rf_block_idx, workgroup_id)
RF_AMDGCN(rf_block_dim, workgroup_size)
RF_DIM(rf_grid_dim, u32(__ockl_get_num_groups(0)), u32(__ockl_get_num_groups(1)), u32(__ockl_get_num_groups(2)))
#define threadIdx (rf_thread_idx{})
#define blockIdx (rf_block_idx{})
#define blockDim (rf_block_dim{})
#define gridDim (rf_grid_dim{})
DEVICE u32 rf_grid_size() { return u32(__ockl_get_num_groups(0)); }
#else
DEVICE u32 rf_grid_size() { return gridDim.x; }
#endif
