#include "penstock/async/detail/ring.h"
#include "penstock/async/detail/ring.h"
