#include "penstock/async/detail/result.h"
#include "penstock/async/detail/result.h"
