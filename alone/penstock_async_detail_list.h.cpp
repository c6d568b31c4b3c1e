#include "penstock/async/detail/list.h"
#include "penstock/async/detail/list.h"
