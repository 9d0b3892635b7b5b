// weight.h: the format of a kernel's weights.
#pragma once
#ifndef P_WEIGHT
#define P_WEIGHT f16_w  // one of the structs of prelude/quant.h
#endif
#include "prelude/quant.h"

typedef P_WEIGHT weight_t;
